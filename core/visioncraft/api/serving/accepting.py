"""The listening side.

asyncio's own accepts the whole backlog before the first connection is looked at, so that no bound can hold, and where
descriptors run out it logs a traceback for each place of the backlog.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from visioncraft.api.serving.connections import Connections

log = logging.getLogger(__name__)

_BACKLOG = 1024
_AT_ONCE = 16  # connections that are accepted, but not yet looked at: they count towards no bound
_REST_S = 0.2  # before the next try where the system has no descriptor or memory left


class Acceptor:
    """Accepts connections until it is closed; to uvicorn it is an `asyncio.Server`.

    Args:
        listener: A bound socket.
        protocol: Makes a connection's protocol.
        connections: Those that are open.
    """

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], connections: Connections
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._open = True
        self._in_trouble = False
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._watch()

    def close(self) -> None:
        """Accept no more."""
        self._open = False
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Until those that were accepted are connected."""
        await asyncio.gather(*self._coming, return_exceptions=True)

    def _watch(self) -> None:
        if self._open:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        while len(self._coming) < _AT_ONCE:
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._in_trouble = False
            task: asyncio.Task[object] = self._loop.create_task(self._connect(connection))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:  # the client is gone already
            log.debug("a connection could not be taken: %s", error)
            connection.close()

    def _rest(self, error: OSError) -> None:
        """No descriptor is left: other users of the machine, or plugins, have taken them. Make room and try again."""
        if not self._in_trouble:
            log.warning("no connection can be accepted (%s); it is tried again until one can", error.strerror)
        self._in_trouble = True
        self._connections.shorten()
        self._loop.remove_reader(self._listener)
        self._loop.call_later(_REST_S, self._watch)

"""Every open connection: who is let in, who has to make room, and who waited too long."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from uvicorn.server import ServerState

from visioncraft.settings import ServerSettings

log = logging.getLogger(__name__)

_QUIET_S = 60.0  # between two lines of the log about the same trouble


class Slow(Protocol):
    """A connection that waits for its client, and can be ended for it."""

    def make_room(self) -> None:
        """End for the sake of another client."""

    def refuse(self) -> None:
        """Say that there is no room, and end."""


class Tended(Protocol):
    """A connection that is looked at every second."""

    def tend(self, now: float) -> None:
        """End it if a deadline has passed; `now` is the event loop's time in seconds."""


class Connections(ServerState):
    """What uvicorn's protocols share, with a bound on how many there are.

    Args:
        limit: How many connections may be open at once.
        limits: The deadlines.

    Past the bound the connection that has waited longest for its client makes room, as nginx does it: one that sent no
    whole head before one that sends a body. A connection whose answer is on its way is never ended for another. Where
    all are such, the newcomer is told 503.
    """

    def __init__(self, limit: int, limits: ServerSettings) -> None:
        super().__init__()
        self.limits = limits
        self._limit = limit
        self._heads: dict[Slow, None] = {}  # the longest wait first
        self._bodies: dict[Slow, None] = {}
        self._ended = 0
        self._told_at = -_QUIET_S

    def admit(self, newcomer: Slow) -> None:
        """Let a connection in, if need be in the place of another."""
        if len(self.connections) > self._limit and not self.shorten():
            self._tell()
            newcomer.refuse()
        else:
            self.waits_for_head(newcomer)

    def shorten(self) -> bool:
        """End the connection that has waited longest for its client; False where none waits."""
        slowest = next(iter(self._heads or self._bodies), None)
        if slowest is None:
            return False
        self.answers(slowest)
        slowest.make_room()
        self._tell()
        return True

    def waits_for_head(self, connection: Slow) -> None:
        """From now on it waits for the head of a request."""
        self.answers(connection)
        self._heads[connection] = None

    def waits_for_body(self, connection: Slow) -> None:
        """From now on it waits for the rest of a body."""
        self.answers(connection)
        self._bodies[connection] = None

    def answers(self, connection: Slow) -> None:
        """It waits for its client no longer, or is gone."""
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)

    def sweep(self, now: float) -> None:
        """End every connection whose deadline has passed."""
        for connection in list(self.connections):
            tended: Tended = connection  # type: ignore[assignment]  # the protocols of this package
            tended.tend(now)

    def _tell(self) -> None:
        """Count a connection that was ended for the bound; one line of the log a minute says how many."""
        self._ended += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _QUIET_S:
            log.warning(
                "%d connections are open, the most there may be: %d had to go, which waited for their clients or came "
                "last; see server.max_connections and the limit of open files (ulimit -n)",
                self._limit,
                self._ended,
            )
            self._ended, self._told_at = 0, now

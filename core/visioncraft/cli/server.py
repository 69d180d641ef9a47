"""The server process: a socket, the app, uvicorn, and one friendly line when it is ready."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import typer
import uvicorn

from visioncraft._version import __version__
from visioncraft.api.app import create_app
from visioncraft.api.serving.accepting import Acceptor
from visioncraft.api.serving.connections import Connections
from visioncraft.api.serving.descriptors import room_for_clients
from visioncraft.api.serving.http import HTTPConnection
from visioncraft.api.serving.listening import BoundPort, bound, bound_ports
from visioncraft.api.serving.memory import give_back_what_is_large
from visioncraft.api.serving.websocket import WebSocketConnection
from visioncraft.errors import ConfigurationError
from visioncraft.runtime.client import url_for
from visioncraft.runtime.running import announced
from visioncraft.runtime.runtime import Runtime
from visioncraft.runtime.warming import Warmer
from visioncraft.settings import Settings
from visioncraft.token import Token

log = logging.getLogger(__name__)

_LAST_WORDS_S = 1.0  # for threads that are about to end
_TICKS_A_SECOND = 10  # of uvicorn's main loop
_GRACE_S = 5  # for answers on their way when the server is told to end


def run(settings: Settings) -> None:
    """Serve until told to end. Raises `ConfigurationError` for a taken port and for settings that cannot be served."""
    give_back_what_is_large()
    with bound_socket(settings.server.host.strip("[]"), settings.server.port) as listener:
        try:
            runtime = Runtime(settings, durable=True)
            app = create_app(settings, runtime)
            with bound_ports(app.state.ports, settings.server) as ports:
                _Server(config_of(app, settings), runtime, runtime.token, ports).run(sockets=[listener])
        finally:
            ended = sys.exception()
            if not isinstance(ended, Exception):  # an error has to be shown first
                _leave_threads(_status_of(ended))


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket bound before anything slow is loaded, so that a taken port is said at once."""
    try:
        return bound(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on: {error.strerror}; end what uses it, or choose another with --port"
        ) from error


def config_of(app: Callable[..., Any], settings: Settings) -> uvicorn.Config:
    """How uvicorn is to serve an application: the API's, or that of a dialect on a port of its own."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # `api/access_log.py` says more
        http=HTTPConnection,
        ws=WebSocketConnection,
        ws_max_size=settings.server.max_message_bytes,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.server.keep_alive_s,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _status_of(ended: BaseException | None) -> int:
    """What the process ends with: being asked to end is no failure, a start that failed is one."""
    code = ended.code if isinstance(ended, SystemExit) else None
    return code if isinstance(code, int) else int(code is not None)


def _leave_threads(status: int) -> None:
    """End the process though a plugin's route still blocks a thread, for which the interpreter would wait.

    Whatever was acknowledged is on disk by now, and everything of ours is closed.
    """
    ours = threading.current_thread()
    blocked = [thread for thread in threading.enumerate() if thread is not ours and not thread.daemon]
    for thread in blocked:
        thread.join(_LAST_WORDS_S / len(blocked))
    if any(thread.is_alive() for thread in blocked):
        log.warning("ended although a plugin is in the middle of something: %s", ", ".join(map(str, blocked)))
        logging.shutdown()
        os._exit(status)


class _Server(uvicorn.Server):
    """uvicorn that says in one line that it is ready, and leaves nobody waiting when it ends."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime, token: Token, ports: Sequence[BoundPort]) -> None:
        super().__init__(config)
        self._ports = ports
        self._runtime, self._warmer = runtime, Warmer(runtime)
        self._token = token
        self._said = ExitStack()  # what others are told while this serves
        limits = runtime.settings.server
        self._connections = Connections(room_for_clients(limits.max_connections), limits)
        self.server_state = self._connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        try:  # before uvicorn does, which has a traceback for whatever fails
            await self._runtime.jobs.start()
        except BaseException:
            await self._runtime.jobs.close()
            raise
        await super().startup([])
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._token.read_again)
        gc.freeze()  # what is loaded by now stays: looking for garbage in it would delay answers by milliseconds
        for listener in sockets or ():
            self._accept(listener, self.config)
        for port in self._ports:
            self._open(port)
        if sockets and not self.should_exit:
            url = url_of(sockets[0])
            self._said.enter_context(announced(self._runtime.settings.data_path, url))
            typer.echo(greeting(self._runtime, url), err=True)
            self._warmer.start()

    async def on_tick(self, counter: int) -> bool:
        """Look at the connections once a second; whether to end."""
        if counter % _TICKS_A_SECOND == 0:
            self._connections.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, cancel what is drawn so that those who wait for it get an answer, then end."""
        self._said.close()
        self._warmer.stop()
        for server in self.servers:
            server.close()
        await self._runtime.jobs.close()
        await super().shutdown(sockets)

    def _accept(self, listener: socket.socket, config: uvicorn.Config) -> None:
        connect = partial(HTTPConnection, config, self._connections, self.lifespan.state)
        self.servers.append(Acceptor(listener, connect, self._connections))  # type: ignore[arg-type]

    def _open(self, port: BoundPort) -> None:
        """Have a dialect answer on its own port, unless another program has begun to listen there."""
        config = config_of(port.app, self._runtime.settings)
        config.load()
        try:
            self._accept(port.listener, config)
        except OSError as error:
            port.blame(error)
        else:
            self._runtime.listening.setdefault(port.info.name, []).append(url_of(port.listener))


def url_of(listener: socket.socket) -> str:
    """The server's URL as a browser on this machine can open it."""
    return url_for(*listener.getsockname()[:2])


def greeting(runtime: Runtime, url: str) -> str:
    """One line: where it is, what draws, where pictures, data and settings are, and which plugins are in trouble."""
    default = runtime.registry.default_model()
    parts = [
        f"VisionCraft Pro {__version__} is ready at {url}",
        *(f"{name} at {', '.join(urls)}" for name, urls in sorted(runtime.listening.items())),
        f"docs at {url}/docs",
        f"default model {default.id}" if default else "no model can draw yet, see `visioncraft models`",
        f"pictures in {runtime.registry.store.name}",
        f"data in {runtime.settings.data_path}",
        f"settings in {runtime.settings.file}" if runtime.settings.file else "no settings file",
    ]
    troubled = [info.name for info in runtime.plugins.plugins.values() if info.error and info.status != "disabled"]
    if troubled:
        parts.append(f"in trouble: {', '.join(troubled)}, see `visioncraft plugins`")
    return " | ".join(parts)

"""Ports of dialects: bound once plugins have said which they want, so that a taken one is told at the start."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from visioncraft.api.ports import OwnPort
from visioncraft.plugins.info import PluginInfo
from visioncraft.settings import ServerSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BoundPort:
    """A dialect's port that this server has.

    Args:
        info: The plugin.
        app: Answers there.
        port: Its number, as the plugin asks for it.
        listener: Bound to it.
    """

    info: PluginInfo
    app: FastAPI
    port: int
    listener: socket.socket

    def blame(self, error: OSError) -> None:
        """Have the plugin's entry say that the port cannot be listened on."""
        _blame(self.info, self.port, error)


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to an address. Raises `OSError` where it is another program's."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def bound_ports(wanted: Sequence[OwnPort], server: ServerSettings) -> Iterator[list[BoundPort]]:
    """Hold the ports that dialects ask for until the block ends.

    Args:
        wanted: The dialects. One whose port is taken is left out, and its plugin's entry says why.
        server: The host, and whether there are such ports at all.
    """
    with ExitStack() as held:
        ports = []
        for each in wanted if server.dialect_ports != "off" else ():
            try:
                number = 0 if server.dialect_ports == "free" else each.port
                listener = held.enter_context(bound(server.host.strip("[]"), number))
            except OSError as error:
                _blame(each.info, each.port, error)
            else:
                ports.append(BoundPort(each.info, each.app, each.port, listener))
        yield ports


def _blame(info: PluginInfo, port: int, error: OSError) -> None:
    said = f"port {port} cannot be listened on: {error.strerror}; end what uses it, or choose another in the settings"
    info.blame(f"{said}, [plugins.config.{info.name}]")
    log.error("%s: %s; the rest is served", info.origin, said)

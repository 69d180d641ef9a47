"""`visioncraft serve`."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visioncraft.cli.state import State
from visioncraft.logs import configure_logging

if TYPE_CHECKING:
    from visioncraft.settings import Settings


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address to listen on; else server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port, 0 for any free one.")] = None,
    safe_mode: Annotated[bool, typer.Option("--safe-mode", help="Load VisionCraft's own plugins only.")] = False,
) -> None:
    """Serve the REST API."""
    state: State = ctx.obj
    state = replace(state, safe_mode=state.safe_mode or safe_mode)
    configure_logging(state.verbose, server=True)
    signal.signal(signal.SIGTERM, _leave)
    if not (sys.stdin and sys.stdin.isatty()):  # in a terminal it means that the terminal is gone, and ends the server
        signal.signal(signal.SIGHUP, _stay)
    settings = _addressed(state.settings(), {"host": host, "port": port})
    log_as_set(settings, state.verbose)
    refuse_open_door(settings)
    with suppress(KeyboardInterrupt):  # the server has ended in order by then
        from visioncraft.cli.server import run

        run(settings)


def log_as_set(settings: Settings, verbose: bool) -> None:
    """Log as `[logs]` says, from now on. Raises `ConfigurationError` where its file cannot be written."""
    from visioncraft.errors import ConfigurationError

    logs, file = settings.logs, settings.log_path
    try:
        configure_logging(verbose, server=True, level=logs.level, form=logs.format, file=file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}; choose another logs.file") from error


def refuse_open_door(settings: Settings) -> None:
    """Raise `ConfigurationError` for an address that others can reach while neither token nor key is asked for."""
    from visioncraft.access.keys import AccessKeys
    from visioncraft.errors import ConfigurationError

    host = settings.server.host
    if settings.token is None and not _is_loopback(host) and not AccessKeys(settings.access_keys_path).any():
        raise ConfigurationError(
            f"{host or 'every address'} can be reached by others: set VISIONCRAFT_TOKEN to a secret of your own "
            "(openssl rand -hex 16), or VISIONCRAFT_TOKEN_FILE to a file of one, or make keys for people (visioncraft "
            "keys create), or serve on 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _addressed(settings: Settings, given: dict[str, Any]) -> Settings:
    server = settings.server.model_copy(update={key: value for key, value in given.items() if value is not None})
    return settings.model_copy(update={"server": server})


def _leave(number: int, frame: FrameType | None) -> None:
    # uvicorn has shut down in order and sends itself the signal again; being asked to end is no failure.
    sys.exit(0)


def _stay(number: int, frame: FrameType | None) -> None:
    # SIGHUP asks a server to read its files again; `cli/server.py` does, once there is one.
    pass

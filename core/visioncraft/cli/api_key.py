"""`visioncraft api-key`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from visioncraft.cli.state import State


def api_key(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(help="The service, as leonardo-api.")],
    key: Annotated[
        str | None, typer.Argument(help="The key; without it you are asked, which keeps it out of your history.")
    ] = None,
) -> None:
    """Keep a cloud service's API key (in api_keys.json, mode 0600), unless the service refuses it."""
    import asyncio

    from visioncraft.api_keys import SERVICES, ApiKeys, from_environment
    from visioncraft.runtime.runtime import discovered, keep_key

    state: State = ctx.obj
    settings = state.settings()
    keys = ApiKeys(settings.keys_path)
    given = (_ask(service) if key is None else key).strip()
    shown, accepted = asyncio.run(keep_key(discovered(settings), keys, service, given))
    typer.echo(f"{service}: key {shown} kept in {keys.path}" + ("" if accepted else "; the service could not be asked"))
    if from_environment(service):
        typer.echo(f"{SERVICES[service]} is set and comes before the kept key; unset it to use this one")


def _ask(service: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"API key for {service}", hide_input=True))
    return sys.stdin.readline()

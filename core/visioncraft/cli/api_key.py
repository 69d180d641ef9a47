"""`visioncraft api-key`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from visioncraft.cli.state import State


def api_key(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(help="The service's id, which the page of its plugin names.")],
    key: Annotated[
        str | None, typer.Argument(help="The key; without it you are asked, which keeps it out of your history.")
    ] = None,
) -> None:
    """Keep a cloud service's API key (in api_keys.json, mode 0600), unless the service refuses it."""
    import asyncio

    from visioncraft.api_keys import ApiKeys
    from visioncraft.runtime.discovery import discovered
    from visioncraft.runtime.keeping import keep_key

    state: State = ctx.obj
    settings = state.settings()
    manager = discovered(settings)
    keys = ApiKeys(settings.keys_path, manager.key_services.known())
    known = keys.known(service)
    given = (_ask(known.title) if key is None else key).strip()
    shown, accepted = asyncio.run(keep_key(manager, keys, service, given))
    typer.echo(f"{service}: key {shown} kept in {keys.path}" + ("" if accepted else "; the service could not be asked"))
    if keys.from_environment(service):
        typer.echo(f"{known.variable} is set and comes before the kept key; unset it to use this one")


def _ask(title: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"API key for {title}", hide_input=True))
    return sys.stdin.readline()

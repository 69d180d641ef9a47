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
    """Keep a cloud service's API key (in api_keys.json, mode 0600)."""
    from visioncraft.keys import ApiKeys

    state: State = ctx.obj
    keys = ApiKeys(state.settings().keys_path)
    shown = keys.set(service, (_ask(service) if key is None else key).strip())
    typer.echo(f"{service}: key {shown} kept in {keys.path}")


def _ask(service: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"API key for {service}", hide_input=True))
    return sys.stdin.readline()

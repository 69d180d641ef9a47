"""`visioncraft plugins list`: all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from visioncraft.cli.group import commands_of
from visioncraft.cli.output import print_json, print_table
from visioncraft.cli.state import State

if TYPE_CHECKING:
    from visioncraft.errors import ConfigurationError
    from visioncraft.plugins.manager import PluginManager


def show_all(state: State, as_json: bool) -> None:
    """Print every plugin, the broken ones with their reason.

    Raises:
        ConfigurationError: Settings cannot be served; after the plugins were printed.
    """
    manager = quietly_discovered(state)
    refusal, commands = ask_everything(manager)
    if as_json:
        print_json([asdict(info) for info in manager.plugins.values()])
    else:
        _print(manager)
        typer.echo(f"Commands they bring: {', '.join(sorted(commands)) or 'none'}")
    if refusal is not None:
        raise refusal


def quietly_discovered(state: State) -> PluginManager:
    """The plugins of these settings; the log is silent unless it was asked for, since what is printed says it all."""
    import logging

    from visioncraft.runtime.discovery import discovered

    settings = state.settings()
    if not state.verbose:
        logging.disable(logging.ERROR)
    return discovered(settings, tell=partial(typer.echo, err=True))


def ask_everything(manager: PluginManager) -> tuple[ConfigurationError | None, Iterable[str]]:
    """Call the hooks as a server would, so that a plugin that fails only then is listed as failed.

    Answers why these settings cannot be served, where they cannot, and the names of the plugins' commands.
    """
    from visioncraft.errors import ConfigurationError
    from visioncraft.plugins.registry import Registry

    try:
        Registry(manager.settings, manager)
        return None, commands_of(manager)
    except ConfigurationError as error:
        return error, ()


def _print(manager: PluginManager) -> None:
    headings = ("Plugin", "Distribution", "Version", "Status", "Hooks", "Error")
    rows = [
        (info.name, info.distribution, info.version, info.status, _short(info.hooks), info.error or "")
        for info in manager.plugins.values()
    ]
    print_table(headings, rows)


def _short(hooks: list[str]) -> str:
    return ", ".join(hook.removeprefix("visioncraft_") for hook in hooks)

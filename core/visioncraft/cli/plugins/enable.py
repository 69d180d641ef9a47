"""`visioncraft plugins enable | disable`."""

from __future__ import annotations

from typing import Any

import tomlkit
import typer

from visioncraft.cli.plugins.entry_points import find
from visioncraft.cli.plugins.settings_file import edit, plugins_table, settings_file
from visioncraft.cli.state import State
from visioncraft.errors import ConfigurationError


def switch(state: State, name: str, on: bool) -> None:
    """Let a plugin load, or keep it from loading, through the settings file.

    Raises `NotFound` for a plugin that nobody has, `ConfigurationError` where the file does not decide.
    """
    find(name, state.settings())
    file = settings_file(state)
    edit(file, lambda document: _switch(document, name, on))
    if _loads(state, name) is not on:
        raise ConfigurationError(
            f"{file} is changed, but the environment is stronger: unset VISIONCRAFT_PLUGINS__ENABLED and "
            "VISIONCRAFT_PLUGINS__DISABLED"
        )
    typer.echo(
        f"{name} is {'enabled' if on else 'disabled'} in {file}; a running server keeps to it from its next start"
    )


def _switch(document: tomlkit.TOMLDocument, name: str, on: bool) -> None:
    table = plugins_table(document)
    if on:
        _drop(table, "disabled", name)
        if table.get("enabled"):  # an empty one allows all
            _add(table, "enabled", name)
    else:
        _add(table, "disabled", name)


def _add(table: Any, key: str, name: str) -> None:
    if key not in table:
        table[key] = tomlkit.array()
    if name not in table[key]:
        table[key].append(name)


def _drop(table: Any, key: str, name: str) -> None:
    if name in table.get(key, ()):
        table[key].remove(name)


def _loads(state: State, name: str) -> bool:
    plugins = state.settings().plugins
    return name not in plugins.disabled and (not plugins.enabled or name in plugins.enabled)

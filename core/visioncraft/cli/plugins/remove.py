"""`visioncraft plugins remove`."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import tomlkit
import typer

from visioncraft.cli.output import agree
from visioncraft.cli.plugins import pip
from visioncraft.cli.plugins.entry_points import find, names_of
from visioncraft.cli.plugins.install import ENVIRONMENTS, plugins_in
from visioncraft.cli.plugins.settings_file import edit, own_table, settings_file
from visioncraft.cli.state import State
from visioncraft.errors import ConfigurationError, PluginError
from visioncraft.settings import INTERPRETER, Settings


def remove_plugin(state: State, name: str, yes: bool) -> None:
    """Uninstall a plugin. Its pictures, its models and its table in the settings stay.

    Raises `NotFound`, and `ConfigurationError` or `PluginError` where something still needs it.
    """
    settings = state.settings()
    point = find(name, settings)
    _refuse_selected(settings, name)
    if python := settings.interpreter(name):
        _remove_environment(state, python.parent.parent, name, yes)
        return
    if point is None or point.dist is None:
        raise PluginError(f"'{name}' belongs to no distribution: pip did not install it and cannot remove it")
    _refuse_needed(point.dist.name)
    with_it = ", ".join(names_of(point.dist))
    again = _way_back(point.dist)
    agree(f"Uninstall {point.dist.name} {point.dist.version} ({with_it})?", yes)
    pip.uninstall(point.dist.name)
    typer.echo(f"{with_it}: removed; a running server keeps it until its next start. To have it back: {again}")


def _way_back(distribution: Distribution) -> str:
    """The command that installs it again, from where it came (PEP 610: `direct_url.json`)."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    folder = url2pathname(urlsplit(url).path) if url.startswith("file:") else None
    if folder and origin.get("dir_info", {}).get("editable"):
        return f"{shlex.quote(sys.executable)} -m pip install --no-build-isolation --editable {shlex.quote(folder)}"
    return f"visioncraft plugins install {shlex.quote(folder or url or distribution.name)}"


def _remove_environment(state: State, home: Path, name: str, yes: bool) -> None:
    """Remove an environment that `install --isolated` made, and its interpreter from the settings."""
    file = settings_file(state)
    if home.resolve().parent != (file.parent / ENVIRONMENTS).resolve():
        raise PluginError(f"{home} is not in {file.parent / ENVIRONMENTS}: remove `python` from {file} yourself")
    names = {name, *plugins_in(home)}
    agree(f"Remove {home} ({', '.join(sorted(names))})?", yes)
    edit(file, lambda document: _forget(document, names))
    shutil.rmtree(home)
    typer.echo(f"{', '.join(sorted(names))}: removed; a running server keeps it until its next start")


def _forget(document: tomlkit.TOMLDocument, names: set[str]) -> None:
    for name in names:
        own_table(document, name).pop(INTERPRETER, None)
    config: Any = document["plugins"]
    for name in [name for name in names if not config["config"][name]]:
        config["config"].pop(name)


def _refuse_selected(settings: Settings, name: str) -> None:
    selected = {"storage.backend": [settings.storage.backend], "generation.backends": settings.generation.backends}
    for key, names in selected.items():
        if name in names:
            raise ConfigurationError(
                f"{key} selects '{name}': the server would not start without it; change {key} first"
            )


def _refuse_needed(distribution: str) -> None:
    needed = pip.needed_by_others(distribution)
    if needed:
        raise PluginError(
            f"{'; '.join(f'{each.distribution} needs {each.requirement}' for each in needed)}: remove these first"
        )

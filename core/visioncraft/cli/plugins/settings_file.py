"""Changing the settings file as a careful person would: comments stay, and what cannot be served is not written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import tomlkit
from tomlkit.items import Table

from visioncraft.cli.state import State
from visioncraft.errors import ConfigurationError
from visioncraft.settings import find_settings_file, load_settings


def settings_file(state: State) -> Path:
    """The file to change. Raises `ConfigurationError` where there is none.

    None is made here: a settings file moves the data folder to its own side.
    """
    file = find_settings_file(state.settings_file)
    if file is None:
        raise ConfigurationError(
            "there is no settings file to change: create settings.toml here (pictures are then kept in `data` beside "
            "it), or name one with --settings"
        )
    return file


def edit(file: Path, change: Callable[[tomlkit.TOMLDocument], None]) -> None:
    """Change a settings file whole or not at all.

    Args:
        file: The settings file.
        change: Changes the document in place.

    Raises `ConfigurationError` for a result that is no valid settings file, or one that cannot be written.
    """
    before = file.read_text("utf-8")
    document = tomlkit.parse(before)
    change(document)
    text = tomlkit.dumps(document)
    if text.endswith("\n\n") and not before.endswith("\n\n"):  # the line before a table that is gone
        text = text.rstrip("\n") + "\n"
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".toml")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be changed: {error.strerror}; give yourself the right to") from error
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as output:
            output.write(text)
        load_settings(draft)
        shutil.copymode(file, draft)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def plugins_table(document: tomlkit.TOMLDocument) -> Table:
    """`[plugins]`, made where it is absent."""
    return _table(document, "plugins")


def own_table(document: tomlkit.TOMLDocument, plugin: str) -> Table:
    """`[plugins.config.<plugin>]`, made where it is absent."""
    config = plugins_table(document).setdefault("config", tomlkit.table(is_super_table=True))
    return _table(config, plugin)


def _table(parent: tomlkit.TOMLDocument | Table, name: str) -> Table:
    if name not in parent:
        parent[name] = tomlkit.table()
    found: Table = parent[name]
    return found

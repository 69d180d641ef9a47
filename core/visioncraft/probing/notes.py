"""Which plugins did well when they were last looked at: one small file each in the data folder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from visioncraft._version import __version__
from visioncraft.settings import Settings

log = logging.getLogger(__name__)

_CODE = (".py", ".so", ".pyd")


class Notes:
    """Nothing is remembered where there is no data folder yet, or none that can be written.

    Args:
        settings: Say where the data folder is; a plugin's own table is part of what a note is for.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_path / "plugins-tried"

    def take_away(self, point: EntryPoint) -> bool:
        """Whether this very plugin did well before; it has to be noted again."""
        file = self._file(point)
        try:
            noted = file.read_text("utf-8")
            file.unlink()
        except (OSError, ValueError):
            return False
        return noted == self._fingerprint(point)

    def keep(self, point: EntryPoint) -> None:
        """Note that it did well."""
        fingerprint = self._fingerprint(point)
        try:
            if fingerprint is not None and self._settings.data_path.is_dir():
                self._folder.mkdir(exist_ok=True)
                self._file(point).write_text(fingerprint, "utf-8")
        except OSError as error:
            log.debug("%s: %s", self._folder, error)

    def _file(self, point: EntryPoint) -> Path:
        return self._folder / quote(point.name, safe="")

    def _fingerprint(self, point: EntryPoint) -> str | None:
        """What a note is for: the plugin's code and table, this interpreter, and what is installed beside it.

        None where the code cannot be found without importing it.
        """
        try:
            files = sorted(_code_of(point))
            facts = [
                [sys.version, sys.prefix, __version__, point.value],
                [point.dist.name, point.dist.version] if point.dist else [],
                # pip makes and removes folders in these, so their times tell of every change.
                [Path(sysconfig.get_path(each)).stat().st_mtime_ns for each in ("purelib", "platlib")],
                [(str(file), (seen := file.stat()).st_size, seen.st_mtime_ns) for file in files],
                self._settings.plugins.config.get(point.name, {}),
            ]
        except Exception as error:  # finding a module runs whatever finders are installed
            log.debug("%s: %s", point.name, error)
            return None
        return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest() if files else None


def _code_of(point: EntryPoint) -> Iterator[Path]:
    """The code of a plugin's outermost package, or its one module."""
    spec = find_spec(point.module.partition(".")[0])
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        for place, _, names in os.walk(folder):
            yield from (Path(place, name) for name in names if name.endswith(_CODE))
    if spec.origin and not spec.submodule_search_locations:
        yield Path(spec.origin)

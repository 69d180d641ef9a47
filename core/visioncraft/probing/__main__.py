"""`python -m visioncraft.probing REPORT PARENT`: import the plugin that stdin names and ask all of its hooks once.

What it begins with it says on the pipe `REPORT`, and `done` at the end. Errors of the plugin are no matter here: the
server meets them again and says what they are. Only what does not come to an end is.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from visioncraft.plugins.hookspecs import PROJECT
from visioncraft.plugins.manager import PluginManager
from visioncraft.probing.trial import DONE, IMPORT
from visioncraft.settings import Settings
from visioncraft.workers.lifeline import die_with

_ALONE_S = 60


def main() -> None:
    """Try one plugin."""
    report, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    os.set_inheritable(report, False)
    order = json.load(sys.stdin)
    settings = Settings.model_validate(order["settings"])
    settings._file = Path(order["settings_file"]) if order["settings_file"] else None
    # Where the parent is gone and no kernel told: the system's own end of a process that hangs.
    signal.alarm(math.ceil(settings.plugins.import_timeout_s) + _ALONE_S)
    sys.path[:] = order["path"]

    def say(word: str) -> None:
        os.write(report, f"{word}\n".encode())

    with suppress(BaseException):  # a plugin may raise what it likes
        _try(EntryPoint(order["name"], order["value"], PROJECT), settings, say)
    say(DONE)
    os._exit(0)  # whatever its threads do


def _try(point: EntryPoint, settings: Settings, say: Callable[[str], None]) -> None:
    say(IMPORT)
    plugin = point.load()
    manager = PluginManager(settings)
    manager.register(plugin, point.name)
    for hook in manager.plugins[point.name].hooks:
        say(hook)
        for _, offers in manager.collect(hook):
            _list_models(offers)


def _list_models(offers: list[Any]) -> None:
    for offer in offers:
        with suppress(Exception):
            offer.models()


if __name__ == "__main__":
    main()

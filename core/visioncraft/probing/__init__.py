"""A look at other people's plugins in processes of their own, before their code is let into this one.

A plugin whose import hangs or crashes natively would take the server along, and no guard inside the server prevents
that. So each is first imported and asked all of its hooks elsewhere (`__main__.py`), all of them at the same time. What
passed is remembered (`notes.py`) and not looked at again until it changes. The note is away while the plugin is
imported in earnest: one that ends the server only then is looked at the next time.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint

from visioncraft.plugins.info import PluginInfo
from visioncraft.probing.notes import Notes
from visioncraft.probing.trial import Trial
from visioncraft.settings import Settings

log = logging.getLogger(__name__)


class Probe:
    """Looks at plugins.

    Args:
        settings: Bound the look, and are handed to the hooks.
        tell: Says what is waited for, where it takes long.
    """

    def __init__(self, settings: Settings, tell: Callable[[str], None] = log.warning) -> None:
        self._settings, self._tell = settings, tell
        self._notes = Notes(settings)
        self._fine: set[str] = set()

    def look(self, found: Sequence[tuple[EntryPoint, PluginInfo]]) -> Mapping[str, str]:
        """Why a plugin must not be imported here, by its name; nothing for those that may."""
        self._fine = {point.name for point, _ in found if self._notes.take_away(point)}
        trials: list[Trial] = []
        try:
            for point, info in found:
                if point.name not in self._fine:
                    trials.append(Trial(point, info, self._settings))
            self._watch(trials)
            self._fine |= {trial.info.name for trial in trials if trial.passed}
            return {trial.info.name: reason for trial in trials if (reason := trial.verdict())}
        except OSError as error:
            log.warning("plugins cannot be tried in processes of their own: %s", error)
            return {}
        finally:
            for trial in trials:
                trial.end()

    def passed(self, point: EntryPoint) -> None:
        """Remember that a plugin did well, here too."""
        if point.name in self._fine:
            self._notes.keep(point)

    def _watch(self, trials: Sequence[Trial]) -> None:
        """Wait until each is over or overdue; say once what is waited for, where it takes long."""
        with selectors.DefaultSelector() as selector:
            for trial in trials:
                selector.register(trial.report, selectors.EVENT_READ, trial)
            while going := [trial for trial in trials if not trial.over and trial.due > time.monotonic()]:
                moment = min(trial.excuse_due for trial in going)
                for key, _ in selector.select(max(0.0, moment - time.monotonic())):
                    if not key.data.hear():
                        selector.unregister(key.fileobj)
                for trial in going:
                    if excuse := trial.excuse():
                        self._tell(excuse)

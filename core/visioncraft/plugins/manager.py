"""The plugin manager: discover, block, isolate, collect, describe.

Five rules hold: a disabled plugin's code is never imported; every plugin loads and answers under its own
guard; all are described, the broken ones with their reason; no two may offer the same name (`claims.py`); a backend
that settings select and that failed stops the start.

A plugin's code, its import too, runs in threads. Python hands signals to the main thread alone, which only waits, so
no plugin can take the signal that asks this process to end for an error of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

import pluggy

from visioncraft._version import PLUGIN_API
from visioncraft.errors import ConfigurationError, PluginError
from visioncraft.plugins import hookspecs
from visioncraft.plugins.distributions import incompatibility
from visioncraft.plugins.guard import HookError, Overdue, call_with_timeout, one_line, validate_hook_result
from visioncraft.plugins.info import PluginInfo
from visioncraft.plugins.key_services import HOOK as KEY_SERVICES, KeyServices
from visioncraft.plugins.service import NoService, Service
from visioncraft.settings import Settings

log = logging.getLogger(__name__)


class Probe(Protocol):
    """Looks at other people's plugins before their code is let into this process; `probing.Probe` is the one."""

    def look(self, found: Sequence[tuple[EntryPoint, PluginInfo]]) -> Mapping[str, str]:
        """Why a plugin must not be imported here, by its name; nothing for those that may."""

    def passed(self, point: EntryPoint) -> None:
        """Note that a plugin has been imported here too."""


class Elsewhere(Protocol):
    """A plugin of another environment, by its description; `workers.isolated.IsolatedPlugin` is the one."""

    distribution: str
    version: str


Isolate = Callable[[str, Path, Settings], Elsewhere]
"""Describes the plugin of this name in the environment of this interpreter. Raises `PluginError` where it cannot."""


class PluginManager:
    """Loads plugins and asks them, one by one.

    Args:
        settings: Says which plugins are blocked, and is handed to every hook.

    `service` is what routers are handed; a runtime puts its own there.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.plugins: dict[str, PluginInfo] = {}
        self.service: Service | NoService = NoService()
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self.key_services = KeyServices(self)

    def discover(
        self,
        found: Iterable[EntryPoint] | None = None,
        probe: Probe | None = None,
        isolate: Isolate | None = None,
    ) -> None:
        """Load every entry point of the group `visioncraft` that settings do not block, each in its own guard.

        Args:
            found: The entry points; by default those of all installed distributions.
            probe: Looks at other people's plugins first. A process that is there for one plugin alone needs none.
            isolate: Describes the plugins that settings give an interpreter of their own; without it they are not here.
        """
        if isolate is not None:
            self._discover_isolated(isolate)
        admitted = list(self._admitted(entry_points(group=hookspecs.PROJECT) if found is None else found))
        trusted = self.settings.plugins.trusted
        foreign = [(point, info) for point, info in admitted if not info.ours and info.name not in trusted]
        reasons = probe.look(foreign) if probe and foreign else {}
        for point, info in admitted:
            if reason := reasons.get(info.name):
                self.fail(info, reason)
            elif self._load(point, info) and probe and not info.ours:
                probe.passed(point)

    def register(self, plugin: object, name: str, distribution: str = "visioncraft", version: str = "") -> None:
        """Add a plugin object by hand: the core's own, and those of tests."""
        info = self.plugins[name] = PluginInfo(name, distribution, version)
        self._register(plugin, info)

    def collect(self, hook: str) -> list[tuple[PluginInfo, list[Any]]]:
        """Ask every active plugin for its list, each under its guard; one that raises loses only its own answer."""
        return [
            (info, answer)
            for info, answer in self._answers(hook, lambda each: validate_hook_result(hook, each))
            if answer
        ]

    def collect_one(self, hook: str) -> list[tuple[PluginInfo, Any]]:
        """The same for a hook that answers one object instead of a list."""
        return [(info, answer) for info, answer in self._answers(hook, _as_is) if answer is not None]

    def ask(self, name: str, hook: str) -> Any:
        """One plugin's answer to one hook. Raises what the plugin raises, and `PluginError` past the time limit."""
        target = self._pluggy.get_plugin(name)
        others = [plugin for plugin in self._pluggy.get_plugins() if plugin is not target]
        caller = self._pluggy.subset_hook_caller(hook, remove_plugins=others)
        wanted = caller.spec.argnames if caller.spec else ()
        handed = {
            name: getattr(self, name) for name in wanted
        }  # `settings`, `service`: as the hook's specification says
        answers = call_with_timeout(self._patience, lambda: caller(**handed), hook)
        return answers[0] if answers else None

    def _answers(self, hook: str, shape: Callable[[Any], Any]) -> Iterator[tuple[PluginInfo, Any]]:
        for name, info in list(self.plugins.items()):
            if info.status != "active" or hook not in info.hooks:
                continue
            try:
                answer = self.ask(name, hook)
                # A hook written with `yield` runs only now.
                shaped = None if answer is None else call_with_timeout(self._patience, lambda: shape(answer), hook)  # noqa: B023
            except HookError as error:
                self.fail(info, error.message, error)
            except Exception as error:
                self.fail(info, f"{hook} raised {one_line(error)}", error)
            else:
                yield info, shaped

    @property
    def _patience(self) -> float:
        return self.settings.plugins.hook_timeout_s

    def fail(self, info: PluginInfo, reason: str, cause: BaseException | None = None) -> None:
        """Mark a plugin failed. A wrong setting is the user's to mend before the server starts, so it passes on."""
        if isinstance(cause, ConfigurationError):
            raise cause
        info.status, info.error = "failed", reason
        log.warning("%s failed: %s", info.origin, reason, exc_info=cause if log.isEnabledFor(logging.DEBUG) else None)

    def require(self, name: str, setting: str) -> PluginInfo:
        """The plugin that `setting` selects, active. Raises `ConfigurationError` with the reason and the next step."""
        info = self.plugins.get(name)
        if info is None:
            known = ", ".join(sorted(self.plugins)) or "none"
            raise ConfigurationError(
                f"{setting} selects '{name}', which is not installed: "
                f"pip install visioncraft-{name.replace('_', '-')}, or choose one of: {known}"
            )
        if info.status != "active":
            raise ConfigurationError(f"{setting} selects '{name}', which {info.standing}; mend it, or change {setting}")
        return info

    def _discover_isolated(self, isolate: Isolate) -> None:
        """Ask for the plugins that settings give an interpreter of their own."""
        for name in self.settings.plugins.config:
            python = self.settings.interpreter(name)
            if python is None:
                continue
            info = self.plugins[name] = PluginInfo(name, str(python), "")
            if reason := self._blocked(info):
                info.status, info.error = "disabled", reason
                continue
            try:
                plugin = isolate(name, python, self.settings)
            except PluginError as error:
                self.fail(info, error.message, error)
                continue
            info.distribution, info.version = plugin.distribution, plugin.version
            self._admit(plugin, info)

    def _admitted(self, points: Iterable[EntryPoint]) -> Iterator[tuple[EntryPoint, PluginInfo]]:
        """The entry points to load; the others are listed with what keeps them from it.

        Of two with one name VisionCraft's own comes first, then the one whose distribution does.
        """
        described = [(point, _describe_point(point)) for point in points]
        for point, info in sorted(described, key=lambda pair: (pair[1].name, not pair[1].ours, pair[1].distribution)):
            if self.settings.interpreter(point.name):
                continue  # the one of its own environment serves
            if point.name in self.plugins:
                self._report_duplicate(info)
                continue
            self.plugins[point.name] = info
            if reason := self._blocked(info):
                info.status, info.error = "disabled", reason
            elif point.dist and (reason := incompatibility(point.dist)):
                info.status, info.error = "incompatible", reason
            else:
                yield point, info

    def _blocked(self, info: PluginInfo) -> str | None:
        allowed = self.settings.plugins.enabled
        if info.name in self.settings.plugins.disabled:
            return "named in plugins.disabled"
        if self.settings.plugins.safe_mode and not info.ours:
            return "safe mode: only VisionCraft's own plugins load"
        return "not named in plugins.enabled" if allowed and info.name not in allowed else None

    def _load(self, point: EntryPoint, info: PluginInfo) -> bool:
        """Import a plugin and register it; answers whether it serves now."""
        try:
            plugin = call_with_timeout(self.settings.plugins.import_timeout_s, point.load, "import")
        except Overdue as error:
            self.fail(info, info.overdue, error)
        except HookError as error:
            self.fail(info, error.message, error)
        except Exception as error:
            self.fail(info, f"import raised {one_line(error)}", error)
        else:
            self._admit(plugin, info)
        return info.status == "active"

    def _admit(self, plugin: object, info: PluginInfo) -> None:
        """Register a plugin that was found, and take the keys it declares out of the environment before the next."""
        self._register(plugin, info)
        if KEY_SERVICES in info.hooks:
            self.key_services.declare()

    def _register(self, plugin: object, info: PluginInfo) -> None:
        try:
            self._pluggy.register(plugin, name=info.name)
            self._pluggy.check_pending()
        except Exception as error:
            if self._pluggy.has_plugin(info.name):
                self._pluggy.unregister(name=info.name)
            self.fail(info, _why_refused(plugin, error), error)
            return
        info.hooks = sorted(caller.name for caller in self._pluggy.get_hookcallers(plugin) or [])

    def _report_duplicate(self, info: PluginInfo) -> None:
        first = self.plugins[info.name]
        self.plugins[f"{info.name} ({info.distribution})"] = info
        self.fail(info, f"'{info.name}' is also the name of {first.origin}; uninstall one of the two")


def _describe_point(point: EntryPoint) -> PluginInfo:
    distribution = point.dist
    return PluginInfo(
        name=point.name,
        distribution=distribution.name if distribution else "unknown",
        version=distribution.version if distribution else "",
    )


def _why_refused(plugin: object, error: BaseException) -> str:
    """Why pluggy refuses a plugin, with what would be right."""
    known = [name for name in vars(hookspecs) if name.startswith("visioncraft_")]
    for name in dir(plugin):
        if name not in known and hasattr(getattr(plugin, name, None), f"{hookspecs.PROJECT}_impl"):
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "one that is newer needs a newer visioncraft"
            return f"{name} is no hook of plugin API {PLUGIN_API}; {hint}"
    return f"{one_line(error)}; a hook takes `settings`, or nothing"


def _as_is(answer: Any) -> Any:
    return answer

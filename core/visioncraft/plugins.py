"""The plugin manager: discover, block, isolate, collect, describe.

Five rules hold (DESIGN 2): a disabled plugin's code is never imported; every plugin loads and answers under its own
guard; all are described, the broken ones with their reason; no two may offer the same name; a backend that settings
select and that failed stops the start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import pluggy

from visioncraft import PLUGIN_API, hookspecs
from visioncraft.contracts import Generator, ImageStore
from visioncraft.distributions import incompatibility
from visioncraft.errors import ConfigurationError, PluginError, VisionCraftError
from visioncraft.isolated import IsolatedPlugin
from visioncraft.settings import Settings
from visioncraft.types import KeyCheck, ModelInfo

log = logging.getLogger(__name__)

PluginState = Literal["active", "disabled", "failed", "incompatible"]

OURS = frozenset(f"visioncraft-{name}" for name in ("gallery-fs", "leonardo", "local-onnx", "local-sd", "mini"))
"""The distributions that load in safe mode; every other plugin is somebody else's."""


@dataclass(slots=True)
class PluginInfo:
    """What is known of one plugin, as `visioncraft plugins` and `GET /plugins` show it.

    Parameters
    ----------
    name: The entry point's name, which is also its settings key.
    distribution, version: The installed package it came from.
    status: Whether it serves.
    hooks: The hooks it implements.
    error: Why it does not serve, in one line.
    """

    name: str
    distribution: str
    version: str
    status: PluginState = "active"
    hooks: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def origin(self) -> str:
        """The plugin with its distribution, for messages."""
        return f"plugin '{self.name}' ({self.distribution} {self.version})"


class PluginManager:
    """Loads plugins and asks them, one by one.

    Parameters
    ----------
    settings: Says which plugins are blocked, and is handed to every hook.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.plugins: dict[str, PluginInfo] = {}
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)

    def discover(self, found: Iterable[EntryPoint] | None = None) -> None:
        """Load every entry point of the group `visioncraft` that settings do not block, each in its own guard."""
        points = entry_points(group=hookspecs.PROJECT) if found is None else found
        self._discover_isolated()
        for point in sorted(points, key=lambda p: (p.name, p.dist.name if p.dist else "")):
            info = _describe_point(point)
            if self.settings.interpreter(point.name):
                continue  # the one of its own environment serves
            if point.name in self.plugins:
                self._report_twin(info)
                continue
            self.plugins[point.name] = info
            if reason := self._blocked(point.name, info.distribution):
                info.status, info.error = "disabled", reason
            elif point.dist and (reason := incompatibility(point.dist)):
                info.status, info.error = "incompatible", reason
            else:
                self._load(point, info)

    def register(self, plugin: object, name: str, distribution: str = "visioncraft", version: str = "") -> None:
        """Add a plugin object by hand: the core's own, and those of tests."""
        info = self.plugins[name] = PluginInfo(name, distribution, version)
        self._register(plugin, info)

    def collect(self, hook: str) -> list[tuple[PluginInfo, list[Any]]]:
        """Ask every active plugin for its list, each under its guard; one that raises loses only its own answer."""
        return [(info, answer) for info, answer in self._answers(hook, lambda each: _checked(hook, each)) if answer]

    def collect_one(self, hook: str) -> list[tuple[PluginInfo, Any]]:
        """The same for a hook that answers one object instead of a list."""
        return [(info, answer) for info, answer in self._answers(hook, _as_is) if answer is not None]

    def ask(self, name: str, hook: str) -> Any:
        """One plugin's answer to one hook. Raises what the plugin raises, and `PluginError` past the time limit."""
        target = self._pluggy.get_plugin(name)
        others = [plugin for plugin in self._pluggy.get_plugins() if plugin is not target]
        caller = self._pluggy.subset_hook_caller(hook, remove_plugins=others)
        answers = within(self.settings.plugins.hook_timeout_s, lambda: caller(settings=self.settings), hook)
        return answers[0] if answers else None

    def _answers(self, hook: str, shape: Callable[[Any], Any]) -> Iterator[tuple[PluginInfo, Any]]:
        for name, info in list(self.plugins.items()):
            if info.status != "active" or hook not in info.hooks:
                continue
            try:
                answer = self.ask(name, hook)
                shaped = None if answer is None else shape(answer)
            except _Misbehaviour as error:
                self.fail(info, error.message, error)
            except Exception as error:
                self.fail(info, f"{hook} raised {one_line(error)}", error)
            else:
                yield info, shaped

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
            raise ConfigurationError(
                f"{setting} selects '{name}', which is {info.status}: {info.error}; mend it, or change {setting}"
            )
        return info

    def _discover_isolated(self) -> None:
        """Ask for the plugins that settings give an interpreter of their own."""
        for name in self.settings.plugins.config:
            python = self.settings.interpreter(name)
            if python is None:
                continue
            info = self.plugins[name] = PluginInfo(name, str(python), "")
            if reason := self._blocked(name, "an environment of its own"):
                info.status, info.error = "disabled", reason
                continue
            try:
                plugin = IsolatedPlugin(name, python, self.settings)
            except PluginError as error:
                self.fail(info, error.message, error)
                continue
            info.distribution, info.version = plugin.hello.distribution, plugin.hello.version
            self._register(plugin, info)

    def _blocked(self, name: str, distribution: str) -> str | None:
        allowed = self.settings.plugins.enabled
        if name in self.settings.plugins.disabled:
            return "named in plugins.disabled"
        if self.settings.plugins.safe_mode and distribution not in OURS:
            return "safe mode: only VisionCraft's own plugins load"
        return "not named in plugins.enabled" if allowed and name not in allowed else None

    def _load(self, point: EntryPoint, info: PluginInfo) -> None:
        try:
            plugin = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin that calls sys.exit() at import must not end the server
            self.fail(info, f"import raised {one_line(error)}", error)
            return
        self._register(plugin, info)

    def _register(self, plugin: object, info: PluginInfo) -> None:
        try:
            self._pluggy.register(plugin, name=info.name)
            self._pluggy.check_pending()
        except Exception as error:
            if self._pluggy.has_plugin(info.name):
                self._pluggy.unregister(name=info.name)
            self.fail(info, _misfit(plugin, error), error)
            return
        info.hooks = sorted(caller.name for caller in self._pluggy.get_hookcallers(plugin) or [])

    def _report_twin(self, info: PluginInfo) -> None:
        first = self.plugins[info.name]
        self.plugins[f"{info.name} ({info.distribution})"] = info
        self.fail(info, f"'{info.name}' is also the name of {first.origin}; uninstall one of the two")


def claim(owners: dict[str, PluginInfo], info: PluginInfo, kind: str, name: str, key: str) -> bool:
    """Give a name to a plugin unless another one holds it; the second one hears why, with both distributions named."""
    holder = owners.setdefault(key, info)
    if holder is info:
        return True
    clash = f"{kind} '{name}' is offered by {info.origin} and by {holder.origin}; disable one of the two"
    if info.error != clash:
        info.error = clash
        log.error("%s", clash)
    return False


def rightful_first(answers: Iterable[tuple[PluginInfo, list[Any]]]) -> list[tuple[PluginInfo, Any]]:
    """Flatten answers so that a backend named like its own plugin comes before one that borrowed the name."""
    pairs = [(info, entry) for info, entries in answers for entry in entries]
    return sorted(pairs, key=lambda pair: getattr(pair[1], "name", None) != pair[0].name)


def _describe_point(point: EntryPoint) -> PluginInfo:
    distribution = point.dist
    return PluginInfo(
        name=point.name,
        distribution=distribution.name if distribution else "unknown",
        version=distribution.version if distribution else "",
    )


def one_line(error: BaseException) -> str:
    """An error's kind and words in one line."""
    text = error.message if isinstance(error, VisionCraftError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())}"


def _misfit(plugin: object, error: BaseException) -> str:
    """Why pluggy refuses a plugin, with what would be right."""
    known = [name for name in vars(hookspecs) if name.startswith("visioncraft_")]
    for name in dir(plugin):
        if name not in known and hasattr(getattr(plugin, name, None), f"{hookspecs.PROJECT}_impl"):
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "one that is newer needs a newer visioncraft"
            return f"{name} is no hook of plugin API {PLUGIN_API}; {hint}"
    return f"{one_line(error)}; a hook takes `settings`, or nothing"


class _Misbehaviour(PluginError):
    """What the manager itself found wrong, told as it is."""


def _checked(hook: str, answer: Any) -> list[Any]:
    """A hook's answer as a list of what the hook hands over, under names that can be used."""
    kind, naming = _HANDED_OVER.get(hook, (object, None))
    entries = list(answer)
    for entry in entries:
        if not isinstance(entry, kind):
            raise _Misbehaviour(f"{hook} answered a {type(entry).__name__}, not a {kind.__name__}")
        if naming is not None and not (isinstance(name := getattr(entry, naming, None), str) and name):
            raise _Misbehaviour(f"{hook} answered a {type(entry).__name__} whose {naming} is {name!r}, not a name")
    return entries


_HANDED_OVER: Mapping[str, tuple[type, str | None]] = {
    "visioncraft_generators": (Generator, "name"),
    "visioncraft_models": (ModelInfo, "id"),
    "visioncraft_stores": (ImageStore, "name"),
    "visioncraft_key_checks": (KeyCheck, "service"),
    "visioncraft_commands": (object, "name"),
}


def _as_is(answer: Any) -> Any:
    return answer


def within(seconds: float, call: Callable[[], Any], what: str) -> Any:
    """Run `call` in a thread of its own; past `seconds` it is left behind and `PluginError` is raised."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name=f"hook-{what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise _Misbehaviour(f"{what} did not answer within {seconds:g} s")
    if failure:
        raise failure[0]
    return outcome[0]

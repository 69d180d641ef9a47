"""Loading the one plugin that a worker is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visioncraft.errors import PluginError, ProtocolError
from visioncraft.plugins.contracts import Generator
from visioncraft.plugins.guard import one_line
from visioncraft.plugins.info import PluginInfo
from visioncraft.plugins.manager import PluginManager
from visioncraft.settings import INTERPRETER, Settings
from visioncraft.workers.messages import PROTOCOL, Hello, Offer, Setup


def load(setup: Setup) -> tuple[Mapping[str, Generator], Hello]:
    """The plugin's generators by name, and what the server is told of them.

    Raises `PluginError` that says why the plugin does not serve, `ProtocolError` for a server of another version.
    """
    if setup.protocol != PROTOCOL:
        raise ProtocolError(
            f"the server speaks protocol {setup.protocol}, this worker {PROTOCOL}; "
            "install the same version of visioncraft in both environments"
        )
    manager = PluginManager(_settings(setup))
    manager.discover()
    info = manager.plugins.get(setup.plugin)
    offered = {generator.name: generator for generator in _collected(manager, "visioncraft_generators")}
    if info is None or info.status != "active":
        raise PluginError(f"plugin '{setup.plugin}' cannot be loaded: {info.error if info else 'it is not installed'}")
    return offered, _hello(manager, info, offered)


def _settings(setup: Setup) -> Settings:
    """The server's settings, for this plugin alone, which loads here and in no further process."""
    settings = Settings.model_validate(setup.settings)
    table = {key: value for key, value in settings.plugins.config.get(setup.plugin, {}).items() if key != INTERPRETER}
    only = settings.plugins.model_copy(update={"enabled": (setup.plugin,), "config": {setup.plugin: table}})
    settings = settings.model_copy(update={"plugins": only})
    settings._file = Path(setup.settings_file) if setup.settings_file else None
    return settings


def _collected(manager: PluginManager, hook: str) -> list[Any]:
    return [entry for _, entries in manager.collect(hook) for entry in entries]


def _hello(manager: PluginManager, info: PluginInfo, offered: Mapping[str, Generator]) -> Hello:
    offers = [_offer(generator) for generator in offered.values()]
    models, services = (_collected(manager, hook) for hook in ("visioncraft_models", "visioncraft_key_services"))
    return Hello(PROTOCOL, info.distribution, info.version, info.hooks, offers, models, services)


def _offer(generator: Generator) -> Offer:
    try:
        models, status = list(generator.models()), generator.status()
    except Exception as error:
        raise PluginError(f"generator '{generator.name}' could not describe itself: {one_line(error)}") from error
    return Offer(generator.name, generator.engines, generator.concurrency, models, status)

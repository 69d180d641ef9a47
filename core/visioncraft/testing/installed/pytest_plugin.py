"""The pytest plugin behind `visioncraft plugins check NAME`: which plugin is held, and what is not asked of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from visioncraft.gallery import plugin as builtin
from visioncraft.plugins.contracts import Generator, ImageStore
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.settings import INTERPRETER, Settings, load_settings
from visioncraft.types.models import ModelInfo


@dataclass(slots=True)
class Offered:
    """What the plugin offers, made anew for every test.

    Args:
        name: The plugin's.
        settings: The user's, with this plugin as a plain one of this interpreter.
        models: For each generator the model that is drawn with; None where none can draw here.
        stores: The stores' names.
        left_out: Why what is not asked for is not.
    """

    name: str
    settings: Settings
    models: dict[str, ModelInfo | None] = field(default_factory=dict)
    stores: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def generator(self, name: str, folder: Path) -> Generator:
        """One of its generators, with an empty data folder."""
        generators: Sequence[Generator] = self._ask("visioncraft_generators", folder, self.settings)
        return next(each for each in generators if each.name == name)

    def store(self, name: str, folder: Path) -> ImageStore:
        """One of its stores. Its own table is left out: that may say where your pictures are."""
        bare = self.settings.plugins.model_copy(update={"config": {}})
        stores: Sequence[ImageStore] = self._ask(
            "visioncraft_stores", folder, self.settings.model_copy(update={"plugins": bare})
        )
        return next(each for each in stores if each.name == name)

    def _ask(self, hook: str, folder: Path, settings: Settings) -> Sequence[Any]:
        manager = manager_of(settings.model_copy(update={"data_dir": folder}))
        return list(manager.ask(self.name, hook))


def manager_of(settings: Settings) -> PluginManager:
    """The installed plugins under these settings."""
    manager = PluginManager(settings)
    manager.register(builtin, "memory")
    manager.discover()
    return manager


def look(name: str) -> Offered:
    """Find out what a plugin offers, and what of it can be asked to draw here for nothing."""
    settings = load_settings()
    table = {key: value for key, value in settings.plugins.config.get(name, {}).items() if key != INTERPRETER}
    config = {**settings.plugins.config, name: table}
    plugins = settings.plugins.model_copy(update={"config": config})
    offered = Offered(name, settings.model_copy(update={"plugins": plugins}))
    with tempfile.TemporaryDirectory() as folder:
        manager = manager_of(offered.settings.model_copy(update={"data_dir": Path(folder)}))
        registry = Registry(manager.settings, manager)
        info = manager.plugins[name]
        if "visioncraft_generators" in info.hooks:
            for generator in manager.ask(name, "visioncraft_generators"):
                offered.models[generator.name] = _drawable(registry, generator, offered.left_out)
        if "visioncraft_stores" in info.hooks:
            offered.stores = [store.name for store in manager.ask(name, "visioncraft_stores")]
    return offered


def _drawable(registry: Registry, generator: Generator, left_out: list[str]) -> ModelInfo | None:
    engines = {generator.name, *generator.engines}
    can = [model for model in registry.available() if model.engine in engines]
    local = [model for model in can if model.kind == "local"]
    if not local:
        why = "it would cost money" if can else "none of its models can draw here"
        left_out.append(f"{generator.name} was not asked to draw: {why}")
        return None
    return local[0]


OFFERED = pytest.StashKey[Offered]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which plugin."""
    parser.addoption("--checked-plugin", required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Look at it once."""
    config.stash[OFFERED] = look(config.getoption("--checked-plugin"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One set of tests for each generator and each store."""
    offered = metafunc.config.stash[OFFERED]
    for fixture, names in {"generator_name": list(offered.models), "store_name": offered.stores}.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what there is nothing for, and every drawing that cannot be had or costs money."""
    offered = config.stash[OFFERED]
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        (left if _has_no_subject(item, offered) else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def _has_no_subject(item: pytest.Item, offered: Offered) -> bool:
    assert isinstance(item, pytest.Function)
    given = item.callspec.params if hasattr(item, "callspec") else {}
    if "generator_name" in item.fixturenames:
        drawn = offered.models.get(str(given.get("generator_name")))
        return not offered.models or ("model" in item.fixturenames and drawn is None)
    return not offered.stores


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not asked for."""
    for line in config.stash[OFFERED].left_out:
        terminalreporter.write_line(f"! {line}")

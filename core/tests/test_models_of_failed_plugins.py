"""A model that is not available because its plugin is in trouble: the error says so."""

from __future__ import annotations

import pytest
from stepping import House, Stepper
from visioncraft.errors import ModelNotAvailable
from visioncraft.gallery.memory import MemoryStore
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.plugins.info import PluginInfo
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.settings import Settings
from visioncraft.types.models import ModelInfo


class Weights:
    """A plugin with a model for another plugin's engine."""

    @hookimpl
    def visioncraft_models(self) -> list[ModelInfo]:
        return [ModelInfo(id="tiles", name="Tiles", engine="mosaic")]


def suggestion(model: str, *troubled: PluginInfo) -> str:
    settings = Settings()
    manager = PluginManager(settings)
    manager.register(House(Stepper(), MemoryStore()), "house")
    manager.register(Weights(), "weights")
    for info in troubled:
        manager.plugins[info.name] = info
    with pytest.raises(ModelNotAvailable) as refused:
        Registry(settings, manager).model(model)
    return str(refused.value.details.get("suggestion"))


MOSAIC = PluginInfo(
    "mosaic", "visioncraft-mosaic", "1.0", status="failed", error="import raised ModuleNotFoundError: no tiles"
)


def test_a_model_whose_plugin_failed_says_so_with_the_reason() -> None:
    said = suggestion("tiles", MOSAIC)
    assert said.startswith("plugin 'mosaic', which draws it, has failed: import raised ModuleNotFoundError: no tiles")
    assert "visioncraft plugins" in said


def test_an_unknown_model_may_be_a_failed_plugins() -> None:
    assert "a plugin that failed may have it ('mosaic')" in suggestion("fresco", MOSAIC)


def test_without_a_plugin_in_trouble_the_engine_is_named() -> None:
    assert suggestion("tiles") == "install a generator that runs the engine 'mosaic'"
    assert suggestion("fresco") == "None"

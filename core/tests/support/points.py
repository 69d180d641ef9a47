"""Plugins from real modules on disk, and a manager that has found them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint

from visioncraft.gallery.memory import MemoryStore
from visioncraft.plugins.manager import PluginManager
from visioncraft.settings import PluginsSettings, Settings
from visioncraft.workers.isolated import IsolatedPlugin

Point = Callable[..., EntryPoint]

GENERATOR = """
from visioncraft import Generator, ModelInfo, hookimpl
class Engine(Generator):
    name = "{name}"
    def models(self):
        return [ModelInfo(id="{model}", name="A model", engine="{name}")]
    def run(self, request, progress):
        raise RuntimeError("not asked to draw")
@hookimpl
def visioncraft_generators(settings):
    return [Engine()]
"""


def manager_with(*points: EntryPoint, **plugins: object) -> PluginManager:
    manager = PluginManager(Settings(plugins=PluginsSettings.model_validate(plugins)))
    manager.register(Memory(), "memory")
    manager.discover(points, isolate=IsolatedPlugin)
    return manager


class Memory:
    """The core's own store, so that a registry can be put together."""

    from visioncraft.plugins.hookspecs import hookimpl

    @hookimpl
    def visioncraft_stores(self) -> list[MemoryStore]:
        return [MemoryStore()]

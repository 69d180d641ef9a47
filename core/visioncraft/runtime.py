"""The house put together, without a server: what `visioncraft serve` and every other command stand on."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType

from visioncraft import __version__, builtin
from visioncraft.jobs.pool import InProcessPool
from visioncraft.jobs.service import JobService
from visioncraft.keys import ApiKeys
from visioncraft.plugins import PluginManager
from visioncraft.registry import Registry
from visioncraft.settings import Settings


class Runtime(AbstractAsyncContextManager["Runtime"]):
    """Plugins, registry, store, keys and jobs of one process.

    Parameters
    ----------
    settings: Validated settings.
    manager: A manager that has its plugins already, for tests; by default installed plugins are discovered.

    Raises `ConfigurationError` when settings select something that is missing, failed or cannot start.
    """

    def __init__(self, settings: Settings, manager: PluginManager | None = None) -> None:
        self.settings = settings
        self.plugins = manager or discovered(settings)
        self.registry = Registry(settings, self.plugins)
        self.keys = ApiKeys(settings.keys_path)
        self.pool = InProcessPool()
        self.jobs = JobService(self.registry, self.pool, settings.jobs)
        self.registry.store.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.jobs.close()
        self.registry.store.close()


def discovered(settings: Settings) -> PluginManager:
    """A manager with the core's own plugin and all installed ones."""
    manager = PluginManager(settings)
    manager.register(builtin, "memory", version=__version__)
    manager.discover()
    return manager

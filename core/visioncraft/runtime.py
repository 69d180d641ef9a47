"""The house put together, without a server: what `visioncraft serve` and every other command stand on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from visioncraft import __version__, builtin
from visioncraft.jobs.ledger import Ledger
from visioncraft.jobs.service import JobService
from visioncraft.keys import ApiKeys
from visioncraft.plugins import PluginManager
from visioncraft.pools import WorkerPool
from visioncraft.pools.local import LocalPool
from visioncraft.pools.processes import Home
from visioncraft.registry import Registry
from visioncraft.settings import Settings


class Runtime(AbstractAsyncContextManager["Runtime"]):
    """Plugins, registry, store, keys and jobs of one process.

    Parameters
    ----------
    settings: Validated settings.
    manager: A manager that has its plugins already, for tests; by default installed plugins are discovered.
    pool: Runs the generators; by default worker processes and this event loop.
    durable: Whether jobs outlive this process, in the data folder, which then serves one process at a time.

    Raises `ConfigurationError` when settings select something that is missing, failed or cannot start.
    """

    def __init__(
        self,
        settings: Settings,
        manager: PluginManager | None = None,
        pool: Callable[[Registry], WorkerPool] | None = None,
        durable: bool = False,
    ) -> None:
        self.settings = settings
        self.plugins = manager or discovered(settings)
        self.registry = Registry(settings, self.plugins)
        self.keys = ApiKeys(settings.keys_path)
        self.pool = pool(self.registry) if pool else LocalPool(_homes(self.registry), settings)
        ledger = Ledger(settings.data_path / "jobs.sqlite3" if durable else None)
        self.jobs = JobService(self.registry, self.pool, ledger, settings.jobs)
        self.registry.store.start()

    async def __aenter__(self) -> Runtime:
        """Take up the jobs that were left."""
        await self.jobs.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.jobs.close()
        self.registry.store.close()


def _homes(registry: Registry) -> dict[str, Home]:
    return {name: Home(registry.owner(name), generator) for name, generator in registry.generators.items()}


def discovered(settings: Settings) -> PluginManager:
    """A manager with the core's own plugin and all installed ones."""
    manager = PluginManager(settings)
    manager.register(builtin, "memory", version=__version__)
    manager.discover()
    return manager

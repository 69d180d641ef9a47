"""The house put together, without a server: what `visioncraft serve` and every other command stand on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from visioncraft.api_keys import ApiKeys
from visioncraft.decoding import Decoders
from visioncraft.jobs.ledger.sqlite import Ledger
from visioncraft.jobs.service import JobService
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.plugins.selection import make_selected, select
from visioncraft.runtime.discovery import discovered
from visioncraft.runtime.service import RuntimeService
from visioncraft.settings import Settings
from visioncraft.workers.local_pool import LocalPool
from visioncraft.workers.pool import HostedGenerator, PoolFactory, WorkerPool

_THUMBNAILS = 4  # made or read at once: a gallery full of large pictures keeps no other request waiting


class Runtime(AbstractAsyncContextManager["Runtime"]):
    """Plugins, registry, store, keys, decoders and jobs of one process.

    Parameters
    ----------
    settings: Validated settings.
    manager: A manager that has its plugins already, for tests; by default installed plugins are discovered.
    pool: Runs the generators, for tests; by default the pool that `workers.pool` selects.
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
        self.keys = ApiKeys(settings.keys_path, self.plugins.key_services.known())
        self.decoders = Decoders(settings.pictures)
        self.thumbnails = ThreadPoolExecutor(_THUMBNAILS, "thumbnails")
        self.pool = pool(self.registry) if pool else _selected_pool(self.plugins, self.registry)
        ledger = Ledger(settings.data_path / "jobs.sqlite3" if durable else None)
        self.jobs = JobService(self.registry, self.pool, ledger, settings.jobs)
        self.service = self.plugins.service = RuntimeService(self)
        self.registry.store.start()

    async def __aenter__(self) -> Runtime:
        """Take up the jobs that were left."""
        await self.jobs.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.decoders.close()
        self.thumbnails.shutdown(wait=False, cancel_futures=True)
        await self.jobs.close()
        self.registry.store.close()


def _selected_pool(plugins: PluginManager, registry: Registry) -> WorkerPool:
    """The pool that settings select, made for the generators. Raises `ConfigurationError` where it cannot be."""
    settings = plugins.settings
    local = PoolFactory("local", lambda hosted: LocalPool(hosted, settings))
    chosen = select(plugins, "visioncraft_pools", "workers.pool", settings.workers.pool, local)
    found = registry.generators.items()
    hosted = {name: HostedGenerator(registry.owner(name), generator) for name, generator in found}
    return make_selected("workers.pool", chosen.name, lambda: chosen.make(hosted))

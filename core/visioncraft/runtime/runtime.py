"""The house put together, without a server: what `visioncraft serve` and every other command stand on."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from visioncraft.access.keys import AccessKeys
from visioncraft.api_keys import ApiKeys
from visioncraft.decoding import Decoders
from visioncraft.jobs.ledger.contract import Lease, Ledger, LedgerFactory
from visioncraft.jobs.ledger.sqlite import SqliteLedger
from visioncraft.jobs.service import JobService
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.plugins.selection import make_selected, select
from visioncraft.runtime.discovery import discovered
from visioncraft.runtime.service import RuntimeService
from visioncraft.settings import Settings
from visioncraft.token import Token
from visioncraft.workers.local_pool import LocalPool
from visioncraft.workers.pool import HostedGenerator, PoolFactory, WorkerPool

_THUMBNAILS = 4  # made or read at once: a gallery full of large pictures keeps no other request waiting


class Runtime(AbstractAsyncContextManager["Runtime"]):
    """Plugins, registry, store, keys, decoders and jobs of one process.

    Args:
        settings: Validated settings.
        manager: A manager that has its plugins already, for tests; by default installed plugins are discovered.
        pool: Runs the generators, for tests; by default the pool that `workers.pool` selects.
        durable: Whether jobs outlive this process, in the ledger that `jobs.ledger` selects.

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
        self.token = Token(settings.token.get_secret_value() if settings.token else None, settings.token_file)
        self.access_keys = AccessKeys(settings.access_keys_path)
        self.guarded: Callable[[], bool] = lambda: self.token.current() is not None
        self.keys = ApiKeys(settings.keys_path, self.plugins.key_services.known())
        self.decoders = Decoders(settings.pictures)
        self.thumbnails = ThreadPoolExecutor(_THUMBNAILS, "thumbnails")
        self.pool = pool(self.registry) if pool else _selected_pool(self.plugins, self.registry)
        ledger = _selected_ledger(self.plugins) if durable else SqliteLedger(None)
        self.listening: dict[str, list[str]] = {}  # where plugins' own ports answer, by the plugin
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


def _selected_ledger(plugins: PluginManager) -> Ledger:
    """The ledger that settings select, opened in a name that no other server has. Raises `ConfigurationError`."""
    settings = plugins.settings
    sqlite = LedgerFactory("sqlite", lambda _lease: SqliteLedger(settings.data_path / "jobs.sqlite3"))
    chosen = select(plugins, "visioncraft_ledgers", "jobs.ledger", settings.jobs.ledger, sqlite)
    lease = Lease(f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}", settings.jobs.lease_s)
    return make_selected("jobs.ledger", chosen.name, lambda: chosen.open(lease))

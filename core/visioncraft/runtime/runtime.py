"""The house put together, without a server: what `visioncraft serve` and every other command stand on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from visioncraft._version import __version__
from visioncraft.api_keys import ApiKeys
from visioncraft.decoding import Decoders
from visioncraft.errors import AuthenticationError
from visioncraft.gallery import plugin as builtin
from visioncraft.jobs.ledger.sqlite import Ledger
from visioncraft.jobs.service import JobService
from visioncraft.plugins.guard import Aside
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.plugins.selection import make_selected, select
from visioncraft.probing import Probe
from visioncraft.runtime.service import RuntimeService
from visioncraft.settings import Settings
from visioncraft.workers.isolated import IsolatedPlugin
from visioncraft.workers.local_pool import LocalPool
from visioncraft.workers.pool import HostedGenerator, PoolFactory, WorkerPool

log = logging.getLogger(__name__)

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


async def keep_key(plugins: PluginManager, keys: ApiKeys, service: str, key: str) -> tuple[str, bool]:
    """Keep a key unless its service refuses it; answers its preview, and whether the service was there to be asked.

    Raises `AuthenticationError` for a refused key and `InvalidRequest` for what cannot be one; then nothing changes.
    """
    keys.check(service, key)
    accepted = await _accepted(plugins, service, key)
    return await asyncio.to_thread(keys.set, service, key), accepted


async def _accepted(plugins: PluginManager, service: str, key: str) -> bool:
    asked = await Aside().ask(service, lambda: plugins.key_services.check_of(service))
    if asked is None:
        return False
    info, check = asked
    try:
        await asyncio.wait_for(check.ask(key), plugins.settings.plugins.hook_timeout_s)
    except AuthenticationError:
        raise
    except Exception as error:  # what went wrong stays unsaid: only its kind is sure to hold no secret
        log.warning("%s could not be asked whether the key is good; it is kept, and the first picture tells", service)
        log.debug("%s raised %s", info.origin, type(error).__name__)
        return False
    return True


def discovered(settings: Settings, tell: Callable[[str], None] = log.warning) -> PluginManager:
    """A manager with the core's own plugin and all installed ones.

    Args:
        settings: Say which plugins may load.
        tell: Says which plugin is waited for, where one takes long.
    """
    manager = PluginManager(settings)
    manager.register(builtin, "memory", version=__version__)
    manager.discover(probe=Probe(settings, tell), isolate=IsolatedPlugin)
    return manager

"""The house put together, without a server: what `visioncraft serve` and every other command stand on."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from visioncraft import __version__, builtin
from visioncraft.errors import AuthenticationError
from visioncraft.jobs.pool import InProcessPool
from visioncraft.jobs.service import JobService
from visioncraft.keys import ApiKeys, check_shape
from visioncraft.plugins import PluginManager
from visioncraft.registry import Registry
from visioncraft.settings import Settings

log = logging.getLogger(__name__)


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


async def keep_key(plugins: PluginManager, keys: ApiKeys, service: str, key: str) -> tuple[str, bool]:
    """Keep a key unless its service refuses it; answers its preview, and whether the service was there to be asked.

    Raises `AuthenticationError` for a refused key and `InvalidRequest` for what cannot be one; then nothing changes.
    """
    check_shape(service, key)
    accepted = await _accepted(plugins, service, key)
    return await asyncio.to_thread(keys.set, service, key), accepted


async def _accepted(plugins: PluginManager, service: str, key: str) -> bool:
    answers = await asyncio.to_thread(plugins.collect, "visioncraft_key_checks")
    for check in (check for _, checks in answers for check in checks if check.service == service):
        try:
            await asyncio.wait_for(check.ask(key), plugins.settings.plugins.hook_timeout_s)
        except AuthenticationError:
            raise
        except Exception as error:  # what went wrong stays unsaid: only its kind is sure to hold no secret
            log.warning("%s: the key is kept unchecked (%s)", service, type(error).__name__)
            return False
        return True
    return False


def discovered(settings: Settings) -> PluginManager:
    """A manager with the core's own plugin and all installed ones."""
    manager = PluginManager(settings)
    manager.register(builtin, "memory", version=__version__)
    manager.discover()
    return manager

"""Loading the default model while the server waits for its first request, so that the first picture comes soon."""

from __future__ import annotations

import asyncio
import logging

from visioncraft.engines.devices import free_memory_gb
from visioncraft.errors import VisionCraftError
from visioncraft.jobs.progress import NoProgress
from visioncraft.runtime.runtime import Runtime
from visioncraft.types.models import ModelInfo
from visioncraft.workers.local_pool import computes

log = logging.getLogger(__name__)

_QUIET_S = 1.0  # a request that comes at once says itself what to load
_ENOUGH_GB = 4.0  # of free memory, with which "auto" loads ahead


class Warmer:
    """Loads the default model once, in its worker, as the first request for it would.

    Args:
        runtime: Of the server. `workers.warm` in its settings says whether: "auto" only where enough memory is free.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop, a moment from now."""
        self._loading = asyncio.create_task(self._load())

    def stop(self) -> None:
        """The server ends. What is being loaded ends with its worker."""
        if self._loading is not None:
            self._loading.cancel()

    def wanted(self) -> ModelInfo | None:
        """The model to load now: none where requests are at work already, or where memory is needed elsewhere."""
        runtime, warm = self._runtime, self._runtime.settings.workers.warm
        if warm == "off" or runtime.jobs.queued or runtime.jobs.running:
            return None
        model = runtime.registry.default_model()
        if model is None or not computes(runtime.registry.generator_for(model)):
            return None
        return model if warm == "on" or free_memory_gb() >= _ENOUGH_GB else None

    async def _load(self) -> None:
        await asyncio.sleep(_QUIET_S)
        model = self.wanted()
        if model is None:
            return
        generator = self._runtime.registry.generator_for(model).name
        log.info("getting %s ready for the first picture, while nothing else is to be done", model.id)
        try:
            await self._runtime.pool.load(generator, model, NoProgress())
        except VisionCraftError as error:
            log.warning("%s could not be loaded ahead, its first picture tries again: %s", model.id, error.message)

"""This machine's pool: what computes runs in worker processes, what waits for a network in the event loop."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from visioncraft.plugins.contracts import Generator, Progress
from visioncraft.settings import Settings
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus
from visioncraft.workers.in_process_pool import InProcessPool
from visioncraft.workers.pool import HostedGenerator, WorkerPool
from visioncraft.workers.process_pool import ProcessPool


def computes(generator: Generator) -> bool:
    """Whether a generator needs a process of its own: its `run` is no coroutine."""
    return not inspect.iscoroutinefunction(generator.run)


class LocalPool:
    """Sends each generator's work where it belongs.

    Args:
        hosted: Every generator by its name.
        settings: For the worker processes.
    """

    def __init__(self, hosted: Mapping[str, HostedGenerator], settings: Settings) -> None:
        computing = {name: each for name, each in hosted.items() if computes(each.generator)}
        self._processes = ProcessPool(computing, settings)
        self._here = InProcessPool({name: each.generator for name, each in hosted.items()})
        self._computing = frozenset(computing)

    def capacity(self, generator: str) -> int:
        """As many as the generator says."""
        return self._of(generator).capacity(generator)

    async def run(self, generator: str, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture."""
        return await self._of(generator).run(generator, request, progress)

    async def load(self, generator: str, model: ModelInfo, progress: Progress) -> None:
        """Load a model."""
        await self._of(generator).load(generator, model, progress)

    async def status(self, generator: str) -> BackendStatus:
        """Where a generator stands."""
        return await self._of(generator).status(generator)

    async def close(self) -> None:
        """End every worker."""
        await self._processes.close()
        await self._here.close()

    def _of(self, generator: str) -> WorkerPool:
        return self._processes if generator in self._computing else self._here

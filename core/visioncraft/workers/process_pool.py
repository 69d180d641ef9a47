"""One worker process for each generator that computes, started when it is first needed, replaced when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count

from visioncraft.plugins.contracts import Progress
from visioncraft.plugins.guard import Aside
from visioncraft.settings import Settings
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus
from visioncraft.workers.messages import Load, Run
from visioncraft.workers.pool import HostedGenerator
from visioncraft.workers.process import WorkerProcess


class ProcessPool:
    """Runs generators in processes of their own.

    Args:
        hosted: Every generator by its name.
        settings: Handed to the workers; `[workers]` bounds them.
    """

    def __init__(self, hosted: Mapping[str, HostedGenerator], settings: Settings) -> None:
        self._hosted = hosted
        self._settings = settings
        self._workers: dict[str, WorkerProcess] = {}
        self._starting = {name: asyncio.Lock() for name in hosted}
        self._calls = count(1)
        self._closed = False
        self._aside = Aside()

    def capacity(self, generator: str) -> int:
        """As many as the generator's one worker takes."""
        return self._hosted[generator].generator.concurrency

    async def run(self, generator: str, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture in the generator's worker."""
        worker = await self._worker(generator)
        image: GeneratedImage = await worker.call(Run(request.job_id or self._name(), request), progress)
        return image

    async def load(self, generator: str, model: ModelInfo, progress: Progress) -> None:
        """Load a model there."""
        worker = await self._worker(generator)
        await worker.call(Load(self._name(), model), progress)

    async def status(self, generator: str) -> BackendStatus:
        """The worker's last word, or the generator's own before there is a worker."""
        worker = self._workers.get(generator)
        if worker is not None and worker.usable:
            return worker.status
        return await self._aside.ask(generator, self._hosted[generator].generator.status)

    async def close(self) -> None:
        """End every worker."""
        self._closed = True
        await asyncio.gather(*(worker.end() for worker in self._workers.values()))

    async def _worker(self, generator: str) -> WorkerProcess:
        async with self._starting[generator]:
            worker = self._workers.get(generator)
            if worker is None or not worker.usable:
                if worker is not None:
                    await worker.end()  # its memory must be free before another one asks for as much
                plugin = self._hosted[generator].plugin
                worker = self._workers[generator] = await WorkerProcess.start(plugin, generator, self._settings)
            return worker

    def _name(self) -> str:
        return f"call-{next(self._calls)}"

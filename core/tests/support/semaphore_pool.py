"""A pool as a plugin author writes one, with public names alone: threads of this process, a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from visioncraft import (
    BackendStatus,
    GeneratedImage,
    GenerationFailed,
    GenerationRequest,
    HostedGenerator,
    JobCancelled,
    ModelInfo,
    PoolFactory,
    Progress,
    hookimpl,
)


class SemaphorePool:
    """Runs generators in threads.

    Args:
        hosted: Every generator by its name.
        places: How many images of each are drawn at once.
    """

    def __init__(self, hosted: Mapping[str, HostedGenerator], places: int = 2) -> None:
        self._generators = {name: each.generator for name, each in hosted.items()}
        self._places = {name: asyncio.Semaphore(places) for name in hosted}
        self._capacity = places

    def capacity(self, generator: str) -> int:
        return self._capacity

    async def run(self, generator: str, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        image = await self._in_thread(generator, self._generators[generator].run, request, progress)
        if not isinstance(image, GeneratedImage):
            raise GenerationFailed(f"{generator} answered {type(image).__name__}")
        return image

    async def load(self, generator: str, model: ModelInfo, progress: Progress) -> None:
        await self._in_thread(generator, self._generators[generator].load, model, progress)

    async def status(self, generator: str) -> BackendStatus:
        return await asyncio.to_thread(self._generators[generator].status)

    async def close(self) -> None:
        for generator in self._generators.values():
            generator.close()

    async def _in_thread(self, name: str, work: Callable[..., Any], subject: object, progress: Progress) -> Any:
        relay = Relay(progress, asyncio.get_running_loop())
        async with self._places[name]:
            running = asyncio.create_task(asyncio.to_thread(work, subject, relay))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                relay.cancelled = True
                await asyncio.wait([running])
                raise


class Relay:
    """A `Progress` for another thread."""

    def __init__(self, progress: Progress, loop: asyncio.AbstractEventLoop) -> None:
        self.cancelled = False
        self._progress, self._loop = progress, loop

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        self._tell(self._progress.step, step, total, preview)

    def stage(self, name: str) -> None:
        self._tell(self._progress.stage, name)

    def _tell(self, report: Callable[..., None], *facts: Any) -> None:
        if self.cancelled:
            raise JobCancelled
        self._loop.call_soon_threadsafe(report, *facts)


@hookimpl
def visioncraft_pools() -> list[PoolFactory]:
    return [PoolFactory("semaphores", SemaphorePool)]

"""Generators that stop where a test says, never where a clock does, and the job service around them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from visioncraft.gallery.memory import MemoryStore
from visioncraft.images.png import encode_png
from visioncraft.jobs.job import Job, Order
from visioncraft.jobs.requests import build_request
from visioncraft.plugins.contracts import Generator, Progress
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.runtime.runtime import Runtime
from visioncraft.settings import JobsSettings, Settings
from visioncraft.testing import PATIENCE_S
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import Limits, ModelInfo
from visioncraft.workers.in_process_pool import InProcessPool

PICTURE = encode_png(np.zeros((8, 8, 3), np.uint8))
LIMITS = Limits(steps=(1, 10), min_resolution=(8, 8))


class Stepper(Generator):
    """Takes a step each time the test lets it."""

    name = "stepper"

    def __init__(self, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.gate = threading.Semaphore(0)
        self.taken: dict[str, int] = {}
        self.seeds: list[tuple[str, int]] = []
        self.raises: list[Exception] = []

    def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(id="stepper", name="Stepper", engine="stepper", limits=LIMITS)]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        self.seeds.append((request.job_id, request.seed))
        for step in range(request.num_inference_steps):
            self.gate.acquire()
            self.taken[request.prompt] = step + 1
            if self.raises:
                raise self.raises.pop()
            progress.step(step + 1, request.num_inference_steps)
        return GeneratedImage(PICTURE, 8, 8, request.seed)


class Coroutine(Stepper):
    """The same in the event loop, at once."""

    async def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:  # type: ignore[override]
        await asyncio.sleep(0)
        assert threading.current_thread() is threading.main_thread()
        self.taken[request.prompt] = 1
        return GeneratedImage(PICTURE, 8, 8, request.seed)


class Waiter(Stepper):
    """A coroutine that waits for ever, and remembers how it was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.cancelled: list[bool] = []

    async def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:  # type: ignore[override]
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.append(progress.cancelled)
            raise
        raise AssertionError("nobody sets that event")


class House:
    """A plugin object with one generator and a memory store."""

    def __init__(self, generator: Generator, store: MemoryStore) -> None:
        self.generator, self.store = generator, store

    @hookimpl
    def visioncraft_generators(self) -> list[Generator]:
        return [self.generator]

    @hookimpl
    def visioncraft_stores(self) -> list[MemoryStore]:
        return [self.store]


def here(registry: Registry) -> InProcessPool:
    return InProcessPool(registry.generators)


@asynccontextmanager
async def running(
    generator: Stepper, folder: Path | None = None, store: MemoryStore | None = None, **jobs: float
) -> AsyncIterator[Runtime]:
    """A runtime; with `folder` its jobs outlive it."""
    settings = Settings(jobs=JobsSettings.model_validate(jobs), data_dir=folder or Path("auto"))
    manager = PluginManager(settings)
    manager.register(House(generator, store or MemoryStore()), "house")
    async with Runtime(settings, manager, here, durable=folder is not None) as runtime:
        try:
            yield runtime
        finally:
            generator.gate.release(1000)  # a cancelled generator stops at its next step, so it needs one


async def submit(
    runtime: Runtime,
    prompt: str,
    steps: int = 2,
    order: Order | None = None,
    wants_png: bool = False,
    pictures: int = 1,
) -> Job:
    model = runtime.registry.model("stepper")
    request = build_request(model, prompt, num_inference_steps=steps, width=8, height=8, seed=1, num_images=pictures)
    return await runtime.jobs.submit(request, order or Order(), wants_png)


def play(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), PATIENCE_S))

"""Generators in this process: coroutines in the event loop, and plain methods in threads, for tests."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from visioncraft.errors import JobCancelled, VisionCraftError
from visioncraft.plugins.contracts import Generator, Progress, checked
from visioncraft.plugins.guard import Aside
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus


class InProcessPool:
    """Runs generators where the server runs.

    Args:
        generators: By name.
    """

    def __init__(self, generators: Mapping[str, Generator]) -> None:
        self._generators = generators
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._aside = Aside()

    def capacity(self, generator: str) -> int:
        """As many as the generator says."""
        return self._generators[generator].concurrency

    async def run(self, generator: str, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture."""
        return checked(await self._call(generator, "run", request, progress), generator)

    async def load(self, generator: str, model: ModelInfo, progress: Progress) -> None:
        """Load a model."""
        await self._call(generator, "load", model, progress)

    async def status(self, generator: str) -> BackendStatus:
        """What the generator says of itself."""
        return await self._aside.ask(generator, self._generators[generator].status)

    async def close(self) -> None:
        """Wait for running threads, then close their generators."""
        while self._threads:
            name, threads = self._threads.popitem()
            await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)
            await asyncio.to_thread(self._generators[name].close)

    async def _call(self, name: str, method: str, subject: object, progress: Progress) -> Any:
        work = getattr(self._generators[name], method)
        if inspect.iscoroutinefunction(work):
            return await work(subject, progress)
        return await self._in_thread(name, work, subject, progress)

    async def _in_thread(self, name: str, work: Callable[..., Any], subject: object, progress: Progress) -> Any:
        loop = asyncio.get_running_loop()
        relay = _Relay(progress, loop)
        running = loop.run_in_executor(self._threads_of(name), work, subject, relay)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            relay.stop()
            with suppress(VisionCraftError):
                await running
            raise

    def _threads_of(self, name: str) -> ThreadPoolExecutor:
        if name not in self._threads:
            concurrency = self._generators[name].concurrency
            self._threads[name] = ThreadPoolExecutor(concurrency, thread_name_prefix=name)
        return self._threads[name]


class _Relay:
    """A `Progress` for another thread, which reports in the event loop."""

    def __init__(self, progress: Progress, loop: asyncio.AbstractEventLoop) -> None:
        self._progress, self._loop = progress, loop
        self._stopped = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self._stopped.is_set() or self._progress.cancelled

    def stop(self) -> None:
        self._stopped.set()

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        self._tell(self._progress.step, step, total, preview)

    def stage(self, name: str) -> None:
        self._tell(self._progress.stage, name)

    def _tell(self, report: Callable[..., None], *facts: Any) -> None:
        if self.cancelled:
            raise JobCancelled
        self._loop.call_soon_threadsafe(_quietly, report, *facts)


def _quietly(report: Callable[..., None], *facts: Any) -> None:
    with suppress(JobCancelled):  # the generator hears of it at its next step
        report(*facts)

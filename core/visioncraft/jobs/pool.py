"""Where generators run. The interface knows no process and no machine, so that others can take this one's place."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from visioncraft.contracts import Generator, Progress
from visioncraft.types import GeneratedImage, GenerationRequest, ModelInfo


class WorkerPool(Protocol):
    """Runs generators' work and comes back with the answer."""

    async def run(self, generator: Generator, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture. Raises what the generator raises."""

    async def load(self, generator: Generator, model: ModelInfo, progress: Progress) -> None:
        """Bring a model into memory. Raises what the generator raises."""

    async def close(self) -> None:
        """Let running work end, then give everything back."""


class InProcessPool:
    """Plain methods in threads of this process, coroutines in its event loop."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._generators: dict[str, Generator] = {}

    async def run(self, generator: Generator, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture in a thread, or in the event loop if `run` is a coroutine."""
        image: GeneratedImage = await self._call(generator, generator.run, request, progress)
        return image

    async def load(self, generator: Generator, model: ModelInfo, progress: Progress) -> None:
        """Load a model the same way."""
        await self._call(generator, generator.load, model, progress)

    async def close(self) -> None:
        """Wait for running threads, then close their generators."""
        while self._threads:
            name, threads = self._threads.popitem()
            await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)
            await asyncio.to_thread(self._generators[name].close)

    async def _call(self, generator: Generator, method: Callable[..., Any], *arguments: Any) -> Any:
        if inspect.iscoroutinefunction(method):
            return await method(*arguments)
        answer = await asyncio.get_running_loop().run_in_executor(self._threads_of(generator), method, *arguments)
        return await answer if inspect.isawaitable(answer) else answer

    def _threads_of(self, generator: Generator) -> ThreadPoolExecutor:
        self._generators[generator.name] = generator
        if generator.name not in self._threads:
            self._threads[generator.name] = ThreadPoolExecutor(
                # Not one more for loads: drawing from two threads of one process in turn took 2.6 s a picture on two
                # cores, from one thread 0.9 s; libgomp spins less when its threads outnumber the cores, a likely cause.
                max_workers=generator.concurrency,
                thread_name_prefix=generator.name,
            )
        return self._threads[generator.name]

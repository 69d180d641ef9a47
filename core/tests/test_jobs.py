"""The job service with generators that stop where the test says, never where a clock does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from visioncraft.contracts import Generator, Progress
from visioncraft.errors import GenerationFailed, InsufficientVRAM, JobCancelled, NotFound, RateLimitExceeded
from visioncraft.hookspecs import hookimpl
from visioncraft.images import encode_png, read_record
from visioncraft.jobs.job import Job, JobState
from visioncraft.plugins import PluginManager
from visioncraft.requests import build_request
from visioncraft.runtime import Runtime
from visioncraft.settings import JobsSettings, Settings
from visioncraft.stores import MemoryStore
from visioncraft.types import GeneratedImage, GenerationRequest, Limits, ModelInfo

PICTURE = encode_png(np.zeros((8, 8, 3), np.uint8))
LIMITS = Limits(steps=(1, 10), min_resolution=(8, 8))


class Stepper(Generator):
    """Takes a step each time the test lets it."""

    name = "stepper"

    def __init__(self, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.gate = threading.Semaphore(0)
        self.taken: dict[str, int] = {}
        self.raises: Exception | None = None

    def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(id="stepper", name="Stepper", engine="stepper", limits=LIMITS)]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        for step in range(request.num_inference_steps):
            self.gate.acquire()
            self.taken[request.prompt] = step + 1
            if self.raises is not None:
                raise self.raises
            progress.step(step + 1, request.num_inference_steps)
        return GeneratedImage(PICTURE, 8, 8, request.seed)


class Coroutine(Stepper):
    """The same in the event loop."""

    name = "coroutine"

    def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(id="coroutine", name="Coroutine", engine="coroutine", limits=LIMITS)]

    async def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:  # type: ignore[override]
        await asyncio.sleep(0)
        assert threading.current_thread() is threading.main_thread()
        return GeneratedImage(PICTURE, 8, 8, request.seed)


class House:
    """A plugin object with one generator and a memory store."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    @hookimpl
    def visioncraft_generators(self) -> list[Generator]:
        return [self.generator]

    @hookimpl
    def visioncraft_stores(self) -> list[MemoryStore]:
        return [MemoryStore()]


@asynccontextmanager
async def running(generator: Stepper, **jobs: int) -> AsyncIterator[Runtime]:
    settings = Settings(jobs=JobsSettings(**jobs))
    manager = PluginManager(settings)
    manager.register(House(generator), "house")
    runtime = Runtime(settings, manager)
    try:
        yield runtime
    finally:
        generator.gate.release(1000)  # a cancelled generator stops at its next step, so it needs one
        await runtime.__aexit__(None, None, None)


def submit(runtime: Runtime, prompt: str, steps: int = 2, wants_png: bool = False) -> Job:
    model = runtime.registry.model(runtime.registry.models()[0].id)
    request = build_request(model, prompt, num_inference_steps=steps, width=8, height=8, seed=1)
    return runtime.jobs.submit(request, wants_png)


def play(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_job_ends_with_its_picture_stored_and_the_same_bytes_in_hand() -> None:
    async def scene() -> None:
        async with running(Stepper()) as runtime:
            job = submit(runtime, "a cat", wants_png=True)
            assert job.state is JobState.RUNNING
            runtime.registry.generators["stepper"].gate.release(2)  # type: ignore[attr-defined]
            await job.wait()
            assert (job.state, job.step) == (JobState.SUCCEEDED, 2)
            assert job.record is not None
            png = job.take_png()
            assert png == runtime.registry.store.open(job.record.id)
            assert read_record(png) == job.record
            with pytest.raises(RuntimeError):
                job.take_png()

    play(scene)


def test_jobs_run_in_turn_and_know_their_place() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            jobs = [submit(runtime, f"p{number}") for number in range(3)]
            assert [runtime.jobs.position(job) for job in jobs] == [0, 1, 2]
            assert (runtime.jobs.running, runtime.jobs.queued) == (1, 2)
            generator.gate.release(6)
            for job in jobs:
                await job.wait()
            assert list(generator.taken) == ["p0", "p1", "p2"]

    play(scene)


def test_as_many_run_at_once_as_the_generator_takes() -> None:
    async def scene() -> None:
        generator = Stepper(concurrency=2)
        async with running(generator) as runtime:
            for number in range(3):
                submit(runtime, f"p{number}")
            assert (runtime.jobs.running, runtime.jobs.queued) == (2, 1)

    play(scene)


def test_past_its_bound_the_queue_refuses_and_says_when_to_come_back() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator, capacity=2) as runtime:
            accepted = [submit(runtime, f"p{number}") for number in range(3)]
            with pytest.raises(RateLimitExceeded) as refused:
                submit(runtime, "one too many")
            assert refused.value.retry_after >= 1
            generator.gate.release(6)
            for job in accepted:
                await job.wait()
            assert submit(runtime, "again").state is JobState.RUNNING
            assert "one too many" not in generator.taken

    play(scene)


def test_a_queued_job_is_cancelled_at_once_and_never_starts() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            first, second = submit(runtime, "first"), submit(runtime, "second")
            assert runtime.jobs.cancel(second.id).state is JobState.CANCELLED
            generator.gate.release(2)
            await first.wait()
            assert first.state is JobState.SUCCEEDED
            assert "second" not in generator.taken

    play(scene)


def test_a_running_job_stops_at_its_next_step_and_the_next_one_runs() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            stepped = asyncio.Event()
            loop = asyncio.get_running_loop()
            first, second = submit(runtime, "first", steps=10), submit(runtime, "second", steps=1)
            first.on_change = lambda job: loop.call_soon_threadsafe(stepped.set) if job.step == 1 else None
            generator.gate.release()
            await stepped.wait()
            runtime.jobs.cancel(first.id)
            generator.gate.release(2)
            await first.wait()
            await second.wait()
            assert (first.state, generator.taken["first"]) == (JobState.CANCELLED, 2)
            assert isinstance(first.error, JobCancelled)
            assert second.state is JobState.SUCCEEDED
            assert runtime.registry.store.count() == 1

    play(scene)


def test_cancelling_an_ended_job_changes_nothing() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            job = submit(runtime, "done", steps=1)
            generator.gate.release()
            await job.wait()
            assert runtime.jobs.cancel(job.id).state is JobState.SUCCEEDED

    play(scene)


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(ValueError("a secret path"), GenerationFailed), (InsufficientVRAM(3.2, 6.5), InsufficientVRAM)],
)
def test_a_generator_that_raises_fails_its_job_only(raised: Exception, seen: type[Exception]) -> None:
    async def scene() -> None:
        generator = Stepper()
        generator.raises = raised
        async with running(generator) as runtime:
            job = submit(runtime, "bad", steps=1)
            generator.gate.release()
            await job.wait()
            assert (job.state, type(job.error)) == (JobState.FAILED, seen)
            assert "a secret path" not in str(job.error)
            generator.raises = None
            after = submit(runtime, "good", steps=1)
            generator.gate.release()
            await after.wait()
            assert after.state is JobState.SUCCEEDED

    play(scene)


def test_a_store_that_fails_fails_the_job_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from visioncraft.errors import StorageError

    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:

            def full(record: object, png: bytes) -> None:
                raise StorageError("the gallery is full; free some space")

            monkeypatch.setattr(runtime.registry.store, "save", full)
            job = submit(runtime, "unlucky", steps=1, wants_png=True)
            generator.gate.release()
            await job.wait()
            assert isinstance(job.error, StorageError)

    play(scene)


def test_a_generator_of_coroutines_runs_in_the_event_loop() -> None:
    async def scene() -> None:
        async with running(Coroutine()) as runtime:
            job = submit(runtime, "cloud")
            await job.wait()
            assert job.state is JobState.SUCCEEDED

    play(scene)


def test_ended_jobs_are_forgotten_past_their_number_and_unknown_ids_are_not_found() -> None:
    async def scene() -> None:
        async with running(Coroutine(), keep_ended=1) as runtime:
            first = submit(runtime, "first")
            await first.wait()
            second = submit(runtime, "second")
            await second.wait()
            assert runtime.jobs.get(second.id) is second
            with pytest.raises(NotFound):
                runtime.jobs.get(first.id)

    play(scene)


def test_closing_ends_every_job() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            jobs = [submit(runtime, f"p{number}") for number in range(3)]
        assert {job.state for job in jobs} == {JobState.CANCELLED}

    play(scene)

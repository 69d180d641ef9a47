"""The pictures of one job, drawn side by side where that leaves half of the generator's places to others."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from pathlib import Path

from stepping import PICTURE, Stepper, play, running, submit
from visioncraft.errors import InsufficientVRAM, JobCancelled, WorkerLost
from visioncraft.gallery.memory import MemoryStore
from visioncraft.jobs.job import Job, JobState
from visioncraft.plugins.contracts import Progress
from visioncraft.runtime.runtime import Runtime
from visioncraft.testing import PATIENCE_S
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.generation import GeneratedImage, GenerationRequest


class Painter(Stepper):
    """Takes a step each time the test lets the prompt; shows its seed, and fails for those in `bad`, once each.

    With `crowd` so many must have begun before any goes on.
    """

    def __init__(self, concurrency: int, crowd: int = 1) -> None:
        super().__init__(concurrency)
        self.gates: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(0))
        self.bad: dict[int, Exception] = {}
        self.failed = threading.Event()
        self.drawn: list[int] = []
        self._crowd = threading.Barrier(crowd)

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        self.drawn.append(request.seed)
        self._crowd.wait(PATIENCE_S)
        if request.seed in self.bad:
            self.failed.set()
            raise self.bad.pop(request.seed)
        for step in range(1, request.num_inference_steps + 1):
            while not self.gates[request.prompt].acquire(timeout=0.01):
                if progress.cancelled:
                    raise JobCancelled
            progress.step(step, request.num_inference_steps, str(request.seed).encode())
        return GeneratedImage(PICTURE, 8, 8, request.seed)


class ModelCache(MemoryStore):
    """Says when a picture is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.saved = threading.Event()

    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        kept = super().save(record, png)
        self.saved.set()
        return kept


async def reached(runtime: Runtime, job: Job, step: int) -> None:
    async for event in runtime.jobs.watch(job):
        if event.step >= step and event.state is JobState.RUNNING:
            return


def test_the_pictures_of_a_job_are_drawn_at_once_and_kept_in_their_order() -> None:
    async def scene() -> None:
        painter = Painter(concurrency=8, crowd=3)
        async with running(painter) as runtime:
            painter.gates["three"].release(6)
            job = await submit(runtime, "three", pictures=3, wants_png=True)
            await job.wait()
            assert (job.state, job.step, job.active_images) == (JobState.SUCCEEDED, 6, 0)
            assert [record.seed for record in job.records] == [1, 2, 3]
            assert sorted(record.id for record in job.records) == [record.id for record in job.records]
            assert await runtime.jobs.picture(job) == runtime.registry.store.open(job.records[0].id)

    play(scene)


def test_half_of_the_places_stay_free_and_jobs_that_wait_go_before_further_pictures() -> None:
    async def scene() -> None:
        painter = Painter(concurrency=4)
        async with running(painter) as runtime:
            many = await submit(runtime, "many", steps=1, pictures=4)
            one, two, three = [await submit(runtime, name, steps=1) for name in ("one", "two", "three")]
            assert (many.active_images, one.state, two.state, three.state) == (2, "running", "running", "queued")
            painter.gates["many"].release()
            await reached(runtime, three, 0)
            assert (many.active_images, runtime.jobs.queued) == (1, 0)
            for name in ("many", "one", "two", "three"):
                painter.gates[name].release(4)
            for job in (many, one, two, three):
                await job.wait()
                assert job.state is JobState.SUCCEEDED
            assert [record.seed for record in many.records] == [1, 2, 3, 4]

    play(scene)


def test_a_job_that_fails_keeps_what_was_being_drawn_and_begins_no_more() -> None:
    async def scene() -> None:
        painter = Painter(concurrency=4, crowd=2)
        painter.bad = {1: InsufficientVRAM(3.2, 6.5)}
        async with running(painter) as runtime:
            job = await submit(runtime, "unlucky", pictures=4)
            await asyncio.to_thread(painter.failed.wait, 30)
            while job.active_images > 1:  # noqa: ASYNC110 - until the service knows, which it tells nobody
                await asyncio.sleep(0)
            painter.gates["unlucky"].release(10)
            await job.wait()
            assert (job.state, type(job.error)) == (JobState.FAILED, InsufficientVRAM)
            assert sorted(painter.drawn) == [1, 2]
            assert [record.seed for record in job.records] == [2]
            assert runtime.registry.store.count() == 1

    play(scene)


def test_a_worker_that_is_lost_counts_once_for_all_that_it_drew() -> None:
    async def scene() -> None:
        painter = Painter(concurrency=4, crowd=2)
        painter.bad = {seed: WorkerLost("the worker was ended by SIGKILL") for seed in (1, 2)}
        async with running(painter) as runtime:
            painter.gates["twice"].release(10)
            job = await submit(runtime, "twice", pictures=2)
            await job.wait()
            assert (job.state, job.lost_workers, sorted(painter.drawn)) == (JobState.SUCCEEDED, 1, [1, 1, 2, 2])
            assert [record.seed for record in job.records] == [1, 2]

    play(scene)


def test_a_cancel_stops_them_all_at_their_next_step() -> None:
    async def scene() -> None:
        painter = Painter(concurrency=4, crowd=2)
        async with running(painter) as runtime:
            job = await submit(runtime, "stopped", steps=5, pictures=4)
            painter.gates["stopped"].release()
            await reached(runtime, job, 1)
            await runtime.jobs.cancel(job.id)
            await job.wait()
            assert (job.state, type(job.error)) == (JobState.CANCELLED, JobCancelled)
            assert (sorted(painter.drawn), runtime.registry.store.count()) == ([1, 2], 0)

    play(scene)


def test_of_pictures_that_are_drawn_at_once_the_first_is_shown() -> None:
    async def scene() -> None:
        painter = Painter(concurrency=4, crowd=2)
        async with running(painter) as runtime:
            job = await submit(runtime, "shown", steps=3, pictures=2)
            previews = asyncio.create_task(_previews(runtime, job))
            await asyncio.sleep(0)
            painter.gates["shown"].release(6)
            shown = await previews
            assert shown and shown == sorted(shown) and shown[:3].count(b"1") == 3

    play(scene)


async def _previews(runtime: Runtime, job: Job) -> list[bytes]:
    return [event.preview async for event in runtime.jobs.watch(job) if event.preview is not None]


def test_a_restart_draws_only_those_that_were_not_stored(tmp_path: Path) -> None:
    async def scene() -> None:
        store, painter = ModelCache(), Painter(concurrency=4, crowd=2)
        async with running(painter, tmp_path, store) as runtime:
            painter.gates["cut"].release()
            job = await submit(runtime, "cut", steps=1, pictures=2)
            assert await asyncio.to_thread(store.saved.wait, 30)
        first, painter = {record.seed for record in store.list(9).items}, Painter(concurrency=4)
        async with running(painter, tmp_path, store) as runtime:
            painter.gates["cut"].release()
            again = await runtime.jobs.get(job.id)
            await again.wait()
            assert [record.seed for record in again.records] == [1, 2]
            assert (len(first), {*first, *painter.drawn}, store.count()) == (1, {1, 2}, 2)

    play(scene)

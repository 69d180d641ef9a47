"""The job service: accepts, bounds, dispatches, stores, cancels."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime

from visioncraft.errors import GenerationFailed, JobCancelled, NotFound, RateLimitExceeded, VisionCraftError
from visioncraft.ids import image_filename, new_image_id, new_job_id
from visioncraft.images import with_record
from visioncraft.jobs.job import Job, JobProgress, JobState
from visioncraft.jobs.lane import Lane
from visioncraft.jobs.pool import WorkerPool
from visioncraft.registry import Registry
from visioncraft.settings import JobsSettings
from visioncraft.types import GeneratedImage, GenerationRequest, ImageRecord

log = logging.getLogger(__name__)


class JobService:
    """Every picture goes through here. All methods are called in one event loop.

    Parameters
    ----------
    registry: Knows which generator draws and where pictures go.
    pool: Runs the generators.
    limits: The queue's bound, and how many ended jobs are remembered.
    """

    def __init__(self, registry: Registry, pool: WorkerPool, limits: JobsSettings) -> None:
        self._registry = registry
        self._pool = pool
        self._limits = limits
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[Job, asyncio.Task[None]] = {}

    def submit(self, request: GenerationRequest, wants_png: bool = False) -> Job:
        """Accept a job. Raises `RateLimitExceeded` past the queue's bound, `StorageError` on a full disk."""
        self._registry.store.check_room()
        lane = self._lane(request)
        if not lane.free and self.queued >= self._limits.capacity:
            raise RateLimitExceeded(
                f"The queue is full: {self.queued} jobs wait", retry_after=max(1.0, round(lane.wait_s, 1))
            )
        job_id = new_job_id()
        job = Job(job_id, replace(request, job_id=job_id), wants_png)
        self._jobs[job.id] = job
        lane.waiting.append(job)
        self._pump(lane)
        return job

    def get(self, job_id: str) -> Job:
        """A job by its id. Raises `NotFound`; ended jobs are forgotten after `jobs.keep_ended` further ones."""
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(f"No job '{job_id[:64]}'")
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel a queued job at once, a running one at its next step; an ended one stays as it is."""
        job = self.get(job_id)
        if job.state is JobState.QUEUED:
            self._lane(job.request).waiting.remove(job)
            self._finish(job, JobCancelled())
        elif job.state is JobState.RUNNING:
            job.request_cancel()
            if inspect.iscoroutinefunction(self._lane(job.request).generator.run) and job.stage != "storing":
                self._tasks[job].cancel()
        return job

    def position(self, job: Job) -> int:
        """How many jobs are before this one in its queue; 0 for one that runs or ended."""
        waiting = self._lane(job.request).waiting
        return waiting.index(job) + 1 if job in waiting else 0

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    @property
    def running(self) -> int:
        """Jobs that draw."""
        return sum(len(lane.running) for lane in self._lanes.values())

    async def close(self) -> None:
        """Cancel everything and wait until the running ones have stopped."""
        for job in [job for job in self._jobs.values() if not job.ended]:
            self.cancel(job.id)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._pool.close()

    def _lane(self, request: GenerationRequest) -> Lane:
        generator = self._registry.generator_for(request.model)
        return self._lanes.setdefault(generator.name, Lane(generator))

    def _pump(self, lane: Lane) -> None:
        while lane.waiting and lane.free:
            job = lane.waiting.popleft()
            lane.running.add(job)
            job.start()
            self._tasks[job] = asyncio.create_task(self._work(lane, job), name=job.id)

    async def _work(self, lane: Lane, job: Job) -> None:
        began = time.perf_counter()
        outcome: tuple[ImageRecord, bytes] | VisionCraftError
        try:
            image = _checked(await self._pool.run(lane.generator, job.request, JobProgress(job)), lane)
            outcome = await self._keep(job, image, time.perf_counter() - began)
            lane.took(time.perf_counter() - began)
        except VisionCraftError as error:
            outcome = error
        except asyncio.CancelledError:
            outcome = JobCancelled()
        except Exception:
            log.exception("%s: generator '%s' failed", job.id, lane.generator.name)
            outcome = GenerationFailed(f"Generator '{lane.generator.name}' failed; the server's log has {job.id}")
        lane.running.discard(job)
        del self._tasks[job]
        self._finish(job, outcome)
        self._pump(lane)

    async def _keep(self, job: Job, image: GeneratedImage, seconds: float) -> tuple[ImageRecord, bytes]:
        if job.cancel_requested:
            raise JobCancelled
        job.stage = "storing"
        generator = self._lane(job.request).generator.name
        return await asyncio.to_thread(self._store, _record(job, image, seconds, generator), image.png)

    def _store(self, record: ImageRecord, png: bytes) -> tuple[ImageRecord, bytes]:
        whole = with_record(png, record)
        return self._registry.store.save(record, whole), whole

    def _finish(self, job: Job, outcome: tuple[ImageRecord, bytes] | VisionCraftError) -> None:
        if isinstance(outcome, VisionCraftError):
            job.fail(outcome)
        else:
            job.succeed(*outcome)
        self._jobs.move_to_end(job.id)
        ended = [known.id for known in self._jobs.values() if known.ended]
        for job_id in ended[: max(0, len(ended) - self._limits.keep_ended)]:
            del self._jobs[job_id]


def _checked(image: object, lane: Lane) -> GeneratedImage:
    if not isinstance(image, GeneratedImage):
        raise GenerationFailed(f"Generator '{lane.generator.name}' answered {type(image).__name__}, not GeneratedImage")
    return image


def _record(job: Job, image: GeneratedImage, seconds: float, generator: str) -> ImageRecord:
    request = job.request
    image_id, now = new_image_id(), datetime.now(UTC)
    return ImageRecord(
        id=image_id,
        filename=image_filename(image_id, now),
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        model=request.model.id,
        seed=image.seed,
        width=image.width,
        height=image.height,
        generation_time=round(seconds, 3),
        vram_used=round(image.vram_used, 3),
        created_at=now,
        parameters=request.parameters(),
        facts={"job": job.id, "generator": generator, **image.facts},
    )

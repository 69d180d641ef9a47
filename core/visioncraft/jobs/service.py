"""The job service: accepts, bounds, dispatches, stores, cancels, and goes on after a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from visioncraft.errors import (
    GenerationFailed,
    InvalidRequest,
    JobCancelled,
    NotFound,
    RateLimitExceeded,
    ServiceUnavailable,
    StorageError,
    VisionCraftError,
    WorkerLost,
)
from visioncraft.ids import new_image_id, new_job_id
from visioncraft.jobs.events import Event, EventHub
from visioncraft.jobs.job import Job, JobState, Order
from visioncraft.jobs.keeping import Keeper
from visioncraft.jobs.lane import Lane
from visioncraft.jobs.ledger import KeyTaken, Ledger
from visioncraft.jobs.progress import JobProgress
from visioncraft.pools import WorkerPool
from visioncraft.registry import Registry
from visioncraft.settings import JobsSettings
from visioncraft.types import GeneratedImage, GenerationRequest, ImageRecord

log = logging.getLogger(__name__)

_CLEAN_EVERY_S = 600.0
_NOBODY = Order()


class JobService:
    """Every picture goes through here. All methods are called in one event loop.

    Parameters
    ----------
    registry: Knows which generator draws and where pictures go.
    pool: Runs the generators.
    ledger: Outlives this process.
    limits: `[jobs]`.
    """

    def __init__(self, registry: Registry, pool: WorkerPool, ledger: Ledger, limits: JobsSettings) -> None:
        self.events = EventHub()
        self.paused = False
        self._registry, self._pool, self._ledger, self._limits = registry, pool, ledger, limits
        self._keeper = Keeper(registry.store)
        self._live: dict[str, Job] = {}
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._draws: dict[Job, asyncio.Task[GeneratedImage]] = {}
        self._admitted = 0  # on their way into the ledger
        self._closing = False
        self._cleaner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where an earlier server was: what it left queued or running is queued again."""
        self.paused = await self._ledger.paused()
        await self._forget()
        for job in await self._ledger.unfinished():
            await self._resume(job)
        self._cleaner = asyncio.create_task(self._clean())

    async def submit(self, request: GenerationRequest, order: Order = _NOBODY, wants_png: bool = False) -> Job:
        """Accept a job: when this returns, it survives a crash of anything.

        The same `order.key` gives the same job. Raises `RateLimitExceeded` past the queue's bound, `StorageError` where
        the ledger cannot be written or the disk is full, `InvalidRequest` for a key that was used for something else.
        """
        if order.key is not None and (known := await self._under_key(order)):
            return self._held(known, wants_png)
        await self._keeper.check_room()
        lane = self._lane(request)
        self._admit(lane)
        job_id = new_job_id()
        job = Job(job_id, replace(request, job_id=job_id), order)
        try:
            await self._accept(job)
        except KeyTaken:
            known = await self._under_key(order)
            return self._held(known or job, wants_png)
        self._held(job, wants_png)
        self._enqueue(lane, job)
        return job

    async def get(self, job_id: str) -> Job:
        """A job by its id. Raises `NotFound`; ended jobs are forgotten after `jobs.keep_ended_s`."""
        job = self._live.get(job_id) or await self._ledger.get(job_id)
        if job is None:
            raise NotFound(f"No job '{job_id[:64]}'")
        return job

    async def latest(self, limit: int, state: JobState | None = None) -> list[Job]:
        """The newest jobs, newest first."""
        return [self._live.get(job.id, job) for job in await self._ledger.latest(limit, state)]

    async def cancel(self, job_id: str) -> Job:
        """Cancel a queued job at once, a running one within one step; an ended one stays as it is."""
        job = await self.get(job_id)
        if job.state is JobState.QUEUED and job in (lane := self._lane(job.request)).waiting:
            lane.waiting.remove(job)
            await self._finish(job, JobCancelled())
            self._tell_waiting(lane)
        elif job.state is JobState.RUNNING:
            job.cancel_requested, job.stage = True, "cancelling"
            if job in self._draws:
                self._draws[job].cancel()
        return job

    async def hung_up(self, job: Job) -> None:
        """The client that waits for a job has left: nobody wants it, unless it has a key to come back with."""
        if job.order.key is None and job.waiting_for_png <= 1:
            await self.cancel(job.id)

    async def picture(self, job: Job) -> bytes:
        """The PNG of a job that succeeded. Raises `NotFound` where it was deleted since."""
        if job.png is not None:
            return job.png
        if job.record is None:
            raise job.error or ServiceUnavailable(f"{job.id} goes on when the server is back")
        return await asyncio.to_thread(self._registry.store.open, job.record.id)

    def release(self, job: Job) -> None:
        """A submitter that wanted the picture's bytes has them, or has left."""
        job.waiting_for_png -= 1
        if job.waiting_for_png <= 0:
            job.png = None

    def position(self, job: Job) -> int:
        """A job's place in its queue, 1 being next; 0 for one that runs or ended."""
        lane = self._lanes.get(self._lane_name(job)) if job.state is JobState.QUEUED else None
        order = lane.order() if lane else []
        return order.index(job) + 1 if job in order else 0

    def left_s(self, job: Job) -> float | None:
        """About how long until its picture is there, in seconds; None once it ended or while the queue stands still."""
        lane = self._lanes.get(self._lane_name(job))
        if job.ended or lane is None or (self.paused and job.state is JobState.QUEUED):
            return None
        return round(lane.left_s(job), 1)

    @property
    def capacity(self) -> int:
        """How many may wait."""
        return self._limits.capacity

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return self._admitted + sum(len(lane.waiting) for lane in self._lanes.values())

    @property
    def running(self) -> int:
        """Jobs that draw."""
        return sum(len(lane.running) for lane in self._lanes.values())

    async def pause(self) -> None:
        """Start no further jobs; those that run end. Outlives a restart."""
        await self._ledger.set_paused(True)
        self.paused = True

    async def resume(self) -> None:
        """Start jobs again."""
        await self._ledger.set_paused(False)
        self.paused = False
        for lane in self._lanes.values():
            self._pump(lane)

    async def watch(self, job: Job, after: str | None = None) -> AsyncIterator[Event]:
        """Everything that happens to a job until its end, beginning with where it stands.

        Parameters
        ----------
        after: The id of the last event that the watcher saw; what it missed comes first where it is still known.
        """
        with self.events.listen(job.id) as stream:
            missed = self.events.since(job.id, after)
            for event in [self.snapshot(job)] if missed is None else missed:
                yield event
                if event.final:
                    return
            if missed == [] and job.ended:
                return
            async for event in stream:
                yield event
                if event.final:
                    return

    def snapshot(self, job: Job) -> Event:
        """Where a job stands, as an event that repeats the last one's id."""
        number = self.events.last_id(job.id)
        return Event(number, job.state.value, job, job.state, job.stage, job.step, *self._outlook(job))

    def live(self) -> list[Job]:
        """The jobs that wait or run, in the order of their coming."""
        return [job for job in self._live.values() if not job.ended]

    async def close(self) -> None:
        """Stop what runs. Every job that has not ended stays in the ledger, for the next start."""
        if self._closing:
            return
        self._closing = True
        if self._cleaner is not None:
            self._cleaner.cancel()
        for draw in list(self._draws.values()):
            draw.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for job in self.live():
            job.announce()  # whoever waits is told that the server ends
        self.events.close()
        await self._pool.close()
        await self._ledger.close()

    async def _accept(self, job: Job) -> None:
        # Known before it is committed: whoever finds it in the ledger under the same key must meet this very job.
        self._live[job.id] = job
        self._admitted += 1
        try:
            await self._ledger.add(job)
        except BaseException:
            del self._live[job.id]
            raise
        finally:
            self._admitted -= 1

    async def _under_key(self, order: Order) -> Job | None:
        job = await self._ledger.by_key(order.key or "")
        if job is not None and job.order.fingerprint != order.fingerprint:
            issue = "this key was used for another request; take a new one for each"
            raise InvalidRequest("Invalid Idempotency-Key provided", field="Idempotency-Key", issue=issue)
        return self._live.get(job.id, job) if job else None

    def _held(self, job: Job, wants_png: bool) -> Job:
        job.waiting_for_png += wants_png
        return job

    def _admit(self, lane: Lane) -> None:
        if self._closing:
            raise ServiceUnavailable("The server is ending; ask again when it is back")
        idle = lane.free and not lane.waiting and not self._admitted and not self.paused
        if not idle and self.queued >= self._limits.capacity:
            wait = max(1.0, round(lane.wait_s(), 1))
            raise RateLimitExceeded(f"The queue is full: {self.queued} jobs wait", retry_after=wait)

    def _lane(self, request: GenerationRequest) -> Lane:
        generator = self._registry.generator_for(request.model)
        return self._lanes.setdefault(generator.name, Lane(generator.name, generator.concurrency))

    def _lane_name(self, job: Job) -> str:
        with suppress(VisionCraftError):
            return self._registry.generator_for(job.request.model).name
        return ""

    def _enqueue(self, lane: Lane, job: Job) -> None:
        lane.waiting.append(job)
        self._tell(job, "queued")
        self._pump(lane)

    async def _resume(self, job: Job) -> None:
        job.requeue()
        if job.image_id is not None and (record := await self._keeper.kept(job.image_id)):
            job.start()
            await self._finish(job, record)
            return
        try:
            model = self._registry.model(job.request.model.id)
            job.request = replace(job.request, model=model)
            self._live[job.id] = job
            self._enqueue(self._lane(job.request), job)
        except VisionCraftError as error:
            await self._finish(job, error)

    def _pump(self, lane: Lane) -> None:
        while lane.waiting and lane.free and not self.paused and not self._closing:
            job = lane.next()
            job.start()
            job.image_id = job.image_id or new_image_id()
            self._tell(job, "running")
            self._tasks[job] = asyncio.create_task(self._work(lane, job), name=job.id)
            self._tell_waiting(lane)

    async def _work(self, lane: Lane, job: Job) -> None:
        outcome: ImageRecord | VisionCraftError | None
        try:
            outcome = await self._drawn(lane, job)
        except VisionCraftError as error:
            outcome = error
        except asyncio.CancelledError:
            outcome = JobCancelled() if job.cancel_requested else None
        except Exception:
            log.exception("%s: generator '%s' failed", job.id, lane.generator)
            outcome = GenerationFailed(f"Generator '{lane.generator}' failed; the server's log has {job.id}")
        lane.leave(job)
        if outcome is not None:
            await self._finish(job, outcome)
        del self._tasks[job]
        self._pump(lane)

    async def _drawn(self, lane: Lane, job: Job) -> ImageRecord:
        """Draw, again where the worker was lost, and store. The ledger knows the picture's id before the store does."""
        known = asyncio.create_task(self._ledger.put(job))
        try:
            image = await self._draw(lane, job)
        finally:
            with suppress(StorageError):  # said again, and kept, when the job ends
                await known
        job.stage = "storing"
        record, job.png = await self._keeper.keep(job, lane.generator, image)
        lane.learn(job)
        if not job.waiting_for_png:
            job.png = None
        return record

    async def _draw(self, lane: Lane, job: Job) -> GeneratedImage:
        while True:
            progress = JobProgress(job, self._progressed)
            draw = self._draws[job] = asyncio.create_task(self._pool.run(lane.generator, job.request, progress))
            try:
                return await draw
            except WorkerLost as lost:
                await self._lose(job, lost)
            finally:
                del self._draws[job]

    async def _lose(self, job: Job, lost: WorkerLost) -> None:
        """Count a lost worker. Raises `GenerationFailed` when there were too many, `JobCancelled` where asked to."""
        job.lost += 1
        log.warning("%s: %s (%d of %d)", job.id, lost.message, job.lost, self._limits.max_reruns + 1)
        if job.cancel_requested:
            raise JobCancelled
        if job.lost > self._limits.max_reruns:
            raise GenerationFailed(f"Given up after {job.lost} tries: {lost.message}")
        job.step, job.stage = 0, "starting again"
        await self._ledger.put(job)
        self._tell(job, "running")

    async def _finish(self, job: Job, outcome: ImageRecord | VisionCraftError) -> None:
        job.end(outcome)
        try:
            await self._ledger.put(job)
        except StorageError as error:  # the next start finds the picture by its id, or draws it again
            log.error("%s: its end could not be written down: %s", job.id, error.message)
        self._live.pop(job.id, None)
        self._tell(job, job.state.value)
        job.announce()

    def _progressed(self, job: Job, preview: bytes | None) -> None:
        self._tell(job, "step")
        if preview is not None and self.events.watched(job.id):
            self._tell(job, "preview", preview)

    def _tell(self, job: Job, name: str, preview: bytes | None = None) -> None:
        # A queue's order is worth working out only for somebody who looks.
        looked_at = job.state is JobState.RUNNING or self.events.watched(job.id)
        self.events.tell(job, name, *(self._outlook(job) if looked_at else (0, None)), preview)

    def _tell_waiting(self, lane: Lane) -> None:
        for job in lane.waiting:
            if self.events.watched(job.id):
                self._tell(job, "queued")

    def _outlook(self, job: Job) -> tuple[int, float | None]:
        return self.position(job), self.left_s(job)

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(_CLEAN_EVERY_S)
            with suppress(StorageError):
                await self._forget()

    async def _forget(self) -> None:
        await self._ledger.forget(datetime.now(UTC) - timedelta(seconds=self._limits.keep_ended_s))

"""The job service: accepts, bounds, dispatches, stores, cancels, and goes on after a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from visioncraft.errors import (
    InvalidRequest,
    NotFound,
    RateLimitExceeded,
    ServiceUnavailable,
)
from visioncraft.jobs import journal
from visioncraft.jobs.dispatcher import Dispatcher
from visioncraft.jobs.events import EventHub
from visioncraft.jobs.job import Job, JobState, Order
from visioncraft.jobs.ledger.contract import KeyTaken, Ledger, SetAside
from visioncraft.jobs.queue import GeneratorQueue
from visioncraft.jobs.resuming import resume
from visioncraft.jobs.storing import ImageWriter
from visioncraft.jobs.upkeep import Upkeep
from visioncraft.plugins.registry import Registry
from visioncraft.settings import JobsSettings
from visioncraft.types.generation import GenerationRequest
from visioncraft.types.ids import new_job_id
from visioncraft.types.jobs import JobEvent
from visioncraft.types.models import ModelInfo
from visioncraft.workers.pool import WorkerPool

log = logging.getLogger(__name__)

_NOBODY = Order()

Complete = Callable[[], Awaitable[GenerationRequest]]
"""What makes a request whole that is accepted without its pictures."""


class JobService:
    """Every picture goes through here. All methods are called in one event loop.

    Args:
        registry: Knows which generator draws and where pictures go.
        pool: Runs the generators.
        ledger: Outlives this process.
        limits: `[jobs]`.
    """

    def __init__(self, registry: Registry, pool: WorkerPool, ledger: Ledger, limits: JobsSettings) -> None:
        self._registry, self._ledger, self._limits = registry, ledger, limits
        self._writer = ImageWriter(registry.store)
        self._dispatcher = Dispatcher(registry, pool, ledger, self._writer, limits.max_reruns)
        self._admitted: list[Order] = []  # on their way into the ledger
        self._upkeep = Upkeep(ledger, self._dispatcher, limits, self._take_up)

    @property
    def events(self) -> EventHub:
        """Where listeners hear of all jobs."""
        return self._dispatcher.events

    @property
    def paused(self) -> bool:
        """Whether the queue stands still, because somebody paused it or because of `trouble`."""
        return self._dispatcher.stands

    @property
    def trouble(self) -> str | None:
        """Why nothing can be kept now, so that the queue stands still until it can; None while all is well."""
        return self._dispatcher.standstill.reason

    async def start(self) -> None:
        """Go on where an earlier server was: what it left queued or running is queued again. Once is enough."""
        if self._upkeep.begun:
            return
        self._dispatcher.paused = await self._ledger.paused()
        await self._upkeep.forget()
        self._upkeep.begin()
        left = await self._ledger.take_over()
        journal.resumed(left)
        for job in left:
            await self._take_up(job)

    async def submit(
        self,
        request: GenerationRequest,
        order: Order = _NOBODY,
        wants_png: bool = False,
        complete: Complete | None = None,
    ) -> Job:
        """Accept a job: when this returns, it survives a crash of anything.

        Args:
            complete: Makes the request whole, called once the job has its place in the queue: what takes long is not
                done for a request that is refused. The place is free again where it raises.

        The same `order.key` gives the same job. Raises `RateLimitExceeded` past the queue's bound, `StorageError` where
        the ledger cannot be written or the disk is full, `InvalidRequest` for a key that was used for something else.
        """
        if order.key is not None and (known := await self._under_key(order)):
            return self._held(known, wants_png)
        lane = self._dispatcher.lane_of(request.model)
        self._admit(lane, order)
        job_id = new_job_id()
        job = Job(job_id, replace(request, job_id=job_id), order)
        try:
            await self._accept(job, complete)
        except KeyTaken:
            known = await self._under_key(order)
            return self._held(known or job, wants_png)
        journal.accepted(job)
        self._held(job, wants_png)
        self._dispatcher.enqueue(lane, job)
        return job

    def check_queue(self, model: ModelInfo, order: Order = _NOBODY) -> None:
        """Raise `RateLimitExceeded` where a request to this model would find the queue full, before it is read."""
        self._admit(self._dispatcher.lane_of(model), order)

    async def get(self, job_id: str) -> Job:
        """A job by its id. Raises `NotFound`; ended jobs are forgotten after `jobs.keep_ended_s`."""
        job = self._dispatcher.live.get(job_id) or await self._ledger.get(job_id)
        if job is None:
            gone = await self._ledger.why_gone(job_id)
            raise NotFound(f"No job '{job_id[:64]}'" + (f": {gone}" if gone else ""))
        return job

    async def latest(self, limit: int, state: JobState | None = None) -> list[Job]:
        """The newest jobs, newest first."""
        live = dict(
            self._dispatcher.live
        )  # of now: a job that ends meanwhile leaves it, and its row may be older than that
        return [job for job in await self._ledger.latest(limit, state, live) if state in (None, job.state)]

    async def set_aside(self, limit: int) -> list[SetAside]:
        """Jobs that the ledger cannot tell of any more, of those that were noticed no longer ago than ended ones."""
        return await self._ledger.set_aside(limit, datetime.now(UTC) - timedelta(seconds=self._limits.keep_ended_s))

    async def cancel(self, job_id: str, why: str = "") -> Job:
        """Cancel a queued job at once, a running one within one step; an ended one stays as it is."""
        job = await self.get(job_id)
        job.cancelled_by = job.cancelled_by or why
        await self._dispatcher.stop(job)
        return job

    async def outcome(self, job: Job) -> str | None:
        """Wait until a job has ended; answers None.

        Where nothing can be kept for longer than a moment, answers why: the job goes on by itself when that is mended,
        which may be in hours.
        """
        ended, stuck = asyncio.create_task(job.wait()), asyncio.create_task(self._dispatcher.standstill.lasting.wait())
        try:
            await asyncio.wait({ended, stuck}, return_when=asyncio.FIRST_COMPLETED)
            return None if ended.done() else self.trouble
        finally:
            ended.cancel()
            stuck.cancel()

    async def hung_up(self, job: Job) -> None:
        """The client that waits for a job has left: nobody wants it, unless it has a key to come back with."""
        if job.order.key is None and job.png_readers <= 1:
            await self.cancel(job.id, "its client hung up")

    async def picture(self, job: Job) -> bytes:
        """The PNG of a job that succeeded. Raises `NotFound` where it was deleted since."""
        if job.png is not None:
            return job.png
        if job.record is None:
            raise job.error or ServiceUnavailable(f"{job.id} goes on when the server is back")
        return await asyncio.to_thread(self._registry.store.open, job.record.id)

    def release(self, job: Job) -> None:
        """A submitter that wanted the picture's bytes has them, or has left."""
        job.png_readers -= 1
        if job.png_readers <= 0:
            job.png = None

    @property
    def capacity(self) -> int:
        """How many may wait."""
        return self._limits.capacity

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return len(self._admitted) + len(self._dispatcher.waiting)

    @property
    def full(self) -> bool:
        """Whether no further job that somebody waits for has a place."""
        return self._waiting_before(_NOBODY) >= self._limits.capacity

    @property
    def running(self) -> int:
        """Jobs that draw."""
        return self._dispatcher.running

    def position(self, job: Job) -> int:
        """A job's place in its queue, 1 being next; 0 for one that runs or ended."""
        return self._dispatcher.position(job)

    def eta_s(self, job: Job) -> float | None:
        """About how long until its picture is there, in seconds; None where nobody can say."""
        return self._dispatcher.eta_s(job)

    async def pause(self) -> None:
        """Start no further jobs; those that run end. Outlives a restart."""
        await self._ledger.set_paused(True)
        self._dispatcher.paused = True

    async def resume(self) -> None:
        """Start jobs again, and look now whether a disk that took nothing is back."""
        self._dispatcher.standstill.look()
        await self._ledger.set_paused(False)
        self._dispatcher.paused = False
        self._dispatcher.pump()

    async def watch(self, job: Job, after: str | None = None) -> AsyncIterator[JobEvent]:
        """Everything that happens to a job until its end, beginning with where it stands.

        Args:
            after: The id of the last event that the watcher saw; what it missed comes first where it is still known.
        """
        with self.events.listen(job.id) as stream:
            missed = self.events.since(job.id, after)
            for event in [self.snapshot(job)] if missed is None else missed:
                yield event
                if event.final:
                    return
            if self.events.heard_all(job, after):
                return
            async for event in stream:
                yield event
                if event.final:
                    return

    def snapshot(self, job: Job) -> JobEvent:
        """Where a job stands, as an event that repeats the last one's id."""
        return self._dispatcher.snapshot(job)

    def live(self) -> list[Job]:
        """The jobs that wait or run, in the order of their coming."""
        return list(self._dispatcher.unfinished())

    async def close(self) -> None:
        """Stop what runs. Every job that has not ended stays in the ledger, for the next start."""
        if self._dispatcher.closing:
            return
        self._upkeep.end()
        await self._dispatcher.interrupt()
        await self._ledger.close()

    async def _accept(self, job: Job, complete: Complete | None) -> None:
        self._admitted.append(job.order)
        try:
            await self._writer.check_room()
            if complete is not None:
                job.request = replace(await complete(), job_id=job.id)
            # Known before it is committed: whoever finds it in the ledger under the same key must meet this very job.
            self._dispatcher.live[job.id] = job
            await self._ledger.add(job)
            self._dispatcher.standstill.look()
        except BaseException:
            self._dispatcher.live.pop(job.id, None)
            raise
        finally:
            self._admitted.remove(job.order)

    async def _under_key(self, order: Order) -> Job | None:
        live = dict(self._dispatcher.live)  # as in `latest`
        job = await self._ledger.by_key(order.key or "")
        if job is not None and job.order.fingerprint != order.fingerprint:
            issue = "this key was used for another request; take a new one for each"
            raise InvalidRequest.of("Idempotency-Key", issue)
        return live.get(job.id) or self._dispatcher.live.get(job.id, job) if job else None

    def _held(self, job: Job, wants_png: bool) -> Job:
        job.png_readers += wants_png
        return job

    def _admit(self, lane: GeneratorQueue, order: Order) -> None:
        if self._dispatcher.closing:
            raise ServiceUnavailable("The server is ending; ask again when it is back")
        idle = lane.free and not lane.waiting and not self._admitted and not self.paused
        waiting = self._waiting_before(order)
        if not idle and waiting >= self._limits.capacity:
            wait = max(1.0, round(lane.wait_s(), 1))
            raise RateLimitExceeded(f"The queue is full: {waiting} jobs wait", retry_after=wait)

    def _waiting_before(self, order: Order) -> int:
        """How many take a place in the queue from a job: work in the background takes none from other jobs."""
        orders = [*self._admitted, *(job.order for job in self._dispatcher.waiting)]
        return sum(order.background or not each.background for each in orders)

    async def _take_up(self, job: Job) -> None:
        await resume(job, self._registry, self._writer, self._dispatcher)

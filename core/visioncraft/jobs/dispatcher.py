"""The dispatcher: lanes, turns, and each job's way from its queue to its stored picture."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from visioncraft.errors import GenerationFailed, JobCancelled, StorageError, VisionCraftError, WorkerLost
from visioncraft.jobs import journal
from visioncraft.jobs.attempt import Attempt, least_helped
from visioncraft.jobs.events import EventHub, Outlook, event_of
from visioncraft.jobs.job import Job, JobState
from visioncraft.jobs.ledger.contract import LeaseLost, Ledger
from visioncraft.jobs.queue import GeneratorQueue
from visioncraft.jobs.standstill import Standstill
from visioncraft.jobs.storing import ImageWriter
from visioncraft.plugins.registry import Registry
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.ids import new_image_id
from visioncraft.types.jobs import JobEvent
from visioncraft.types.models import ModelInfo
from visioncraft.workers.pool import WorkerPool, capacity_of

log = logging.getLogger(__name__)

_GRACE_S = 3.0  # for a running picture to stop at its next step when the server ends


class Dispatcher:
    """Runs jobs that were accepted. All methods are called in one event loop.

    Args:
        registry: Knows which generator draws a model.
        pool: Runs the generators.
        ledger: Is told where each job stands.
        writer: Stores pictures.
        max_reruns: How often a job runs again that lost its worker.
    """

    def __init__(
        self, registry: Registry, pool: WorkerPool, ledger: Ledger, writer: ImageWriter, max_reruns: int
    ) -> None:
        self.events = EventHub()
        self.live: dict[str, Job] = {}
        self.paused = False
        self.closing = False
        self._registry, self._pool, self._ledger, self._writer = registry, pool, ledger, writer
        self._max_reruns = max_reruns
        self._lanes: dict[str, GeneratorQueue] = {}
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._attempts: dict[Job, Attempt] = {}
        self._unwritten: dict[Job, asyncio.Task[None]] = {}
        self.standstill = Standstill(writer.check_room, self._changed)

    @property
    def stands(self) -> bool:
        """Whether no further job starts: somebody paused the queue, or nothing can be kept."""
        return self.paused or self.standstill.reason is not None

    @property
    def waiting(self) -> list[Job]:
        """Jobs that wait."""
        return [job for lane in self._lanes.values() for job in lane.waiting]

    @property
    def running(self) -> int:
        """Jobs that draw."""
        return sum(len(lane.running) for lane in self._lanes.values())

    def lane_of(self, model: ModelInfo) -> GeneratorQueue:
        """The queue of the generator that draws a model. Raises `ModelNotAvailable`."""
        generator = self._registry.generator_for(model)
        places = capacity_of(self._pool, generator)
        lane = self._lanes.setdefault(generator.name, GeneratorQueue(generator.name, places))
        lane.concurrency = places
        return lane

    def enqueue(self, lane: GeneratorQueue, job: Job) -> None:
        """Let an accepted job wait its turn."""
        self.live[job.id] = job
        lane.waiting.append(job)
        self._tell(job, "queued")
        self._pump(lane)

    def pump(self) -> None:
        """Start whatever can be."""
        for lane in self._lanes.values():
            self._pump(lane)

    async def stop(self, job: Job) -> None:
        """Cancel a queued job at once, a running one within one step."""
        if job.state is JobState.QUEUED and job in (lane := self.lane_of(job.request.model)).waiting:
            lane.waiting.remove(job)
            await self.finish(job, JobCancelled())
            self._tell_waiting(lane)
        elif job.state is JobState.RUNNING:
            job.cancel_requested, job.stage = True, "cancelling"
            self.standstill.release(job)
            if job in self._attempts:
                self._attempts[job].stop()

    def accepted(self) -> list[Job]:
        """The jobs that the ledger has from this server: those that wait for their turn, and those that run."""
        return [job for lane in self._lanes.values() for job in (*lane.waiting, *lane.running)]

    def give_up(self, job: Job) -> None:
        """Another server has a job now: stop it here, and write nothing more of it."""
        if self.live.pop(job.id, None) is None:
            return
        log.warning("%s is another server's now: this one was silent for longer than jobs.lease_s", job.id)
        for lane in self._lanes.values():
            lane.drop(job)
        if job in self._attempts:
            self._attempts[job].stop()
        job.announce()

    async def interrupt(self) -> None:
        """Stop what runs, without ending any job, close the pool, and tell everybody who waits or watches."""
        self.closing = True
        self.standstill.close()
        for attempt in self._attempts.values():
            attempt.stop()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_GRACE_S)
        await self._pool.close()  # which ends those too that are in the middle of a long step
        await asyncio.gather(*self._tasks.values(), *self._unwritten.values(), return_exceptions=True)
        for job in list(self._unwritten):  # the last chance: the next start would run it once more
            with suppress(StorageError, LeaseLost):
                await self._ledger.put(job)
        for job in self.unfinished():
            job.announce()
        self.events.close()

    def unfinished(self) -> Iterator[Job]:
        """The jobs that wait or run, in the order of their coming."""
        return iter([job for job in self.live.values() if not job.ended])

    def position(self, job: Job) -> int:
        """A job's place in its queue, 1 being next; 0 for one that runs or ended."""
        lane = self._lanes.get(self._name_of(job)) if job.state is JobState.QUEUED else None
        return lane.places().get(job, (0, 0.0))[0] if lane else 0

    def eta_s(self, job: Job) -> float | None:
        """About how long until its picture is there, in seconds; None once it ended or while the queue stands still."""
        lane = self._lanes.get(self._name_of(job))
        if job.ended or lane is None or self._waits(job):
            return None
        return round(lane.eta_s(job), 1)

    def snapshot(self, job: Job) -> JobEvent:
        """Where a job stands, as an event that repeats the last one's id."""
        number, trouble = self.events.last_id(job.id), self.standstill.reason
        return event_of(job, number, job.state.value, self._outlook(job), trouble=trouble)

    async def finish(self, job: Job, outcome: ImageRecord | VisionCraftError) -> None:
        """A job has its picture, or an error in its place: write it down, and say so.

        A picture is said first: it is kept, and should the server end before the ledger knows, the next start finds it
        by its id. What cannot be written down is said too; the job stays in memory until it can.
        """
        job.end(outcome)
        journal.ended(job)
        put = asyncio.create_task(self._ledger.put(job))
        if job.record is None:
            await asyncio.wait([put])
        self._tell(job, job.state.value)
        job.announce()
        try:
            await put
        except LeaseLost:
            self.give_up(job)
        except StorageError:
            self._unwritten[job] = asyncio.create_task(self._end_written(job))
        else:
            self.live.pop(job.id, None)

    async def _end_written(self, job: Job) -> None:
        with suppress(LeaseLost):
            await self.standstill.insist(partial(self._ledger.put, job))
        self.live.pop(job.id, None)
        del self._unwritten[job]

    def _changed(self) -> None:
        """The service begins to stand still, or goes on: say so to all, and start what may."""
        for job in self.unfinished():
            self._tell(job, job.state.value)
        if not self.closing:
            self.pump()

    def _waits(self, job: Job) -> bool:
        """Whether nothing happens to a job until the queue goes on."""
        return self.stands if job.state is JobState.QUEUED else self.standstill.holds(job)

    def _name_of(self, job: Job) -> str:
        with suppress(VisionCraftError):
            return self._registry.generator_for(job.request.model).name
        return ""

    def _pump(self, lane: GeneratorQueue) -> None:
        lane.concurrency = capacity_of(self._pool, self._registry.generators[lane.generator])
        while lane.waiting and lane.free and not self.stands and not self.closing:
            job = lane.next()
            job.start()
            job.image_id = job.image_id or new_image_id()
            journal.started(job)
            self._tell(job, "running")
            self._tasks[job] = asyncio.create_task(self._work(lane, job), name=job.id)
            self._tell_waiting(lane)
        while not lane.waiting and not self.stands and lane.has_spare_slots:
            if (attempt := least_helped(lane.running, self._attempts)) is None:
                break
            attempt.start_next()

    async def _work(self, lane: GeneratorQueue, job: Job) -> None:
        outcome: ImageRecord | VisionCraftError | None
        try:
            outcome = await self._drawn(lane, job)
        except VisionCraftError as error:
            outcome = error
        except asyncio.CancelledError:
            outcome = JobCancelled() if job.cancel_requested else None
        except LeaseLost:
            self.give_up(job)
            outcome = None
        except Exception:
            log.exception("%s: generator '%s' failed", job.id, lane.generator)
            outcome = GenerationFailed(f"Generator '{lane.generator}' failed; the server's log has {job.id}")
        lane.leave(job)
        if outcome is not None:
            await self.finish(job, outcome)
        del self._tasks[job]
        self._pump(lane)

    async def _drawn(self, lane: GeneratorQueue, job: Job) -> ImageRecord:
        """Draw, again where the worker was lost, and store. The ledger knows a picture's id before the store does."""
        if self.closing:
            raise asyncio.CancelledError
        known = asyncio.create_task(self._written(job))
        report, on_free_slot = partial(self._progressed, lane), partial(self._pump, lane)
        attempt = Attempt(job, lane.generator, self._pool, self._writer, self.standstill, known, report, on_free_slot)
        self._attempts[job] = attempt
        try:
            records = await self._all_of(job, attempt)
        finally:
            del self._attempts[job]
            with suppress(JobCancelled):
                await known
        lane.learn(job)
        if not job.png_readers:
            job.png = None
        return records[0]

    async def _all_of(self, job: Job, attempt: Attempt) -> list[ImageRecord]:
        while True:
            try:
                return await attempt.run()
            except WorkerLost as lost:
                await self._lose(job, lost)

    async def _lose(self, job: Job, lost: WorkerLost) -> None:
        """Count a lost worker. Raises `GenerationFailed` when there were too many, `JobCancelled` where asked to."""
        job.lost_workers += 1
        log.warning("%s: %s (%d of %d)", job.id, lost.message, job.lost_workers, self._max_reruns + 1)
        if job.cancel_requested:
            raise JobCancelled
        if job.lost_workers > self._max_reruns:
            raise GenerationFailed(f"Given up after {job.lost_workers} tries: {lost.message}")
        job.step, job.stage = len(job.records) * job.request.steps_drawn, "starting again"
        await self._written(job)
        self._tell(job, "running")

    async def _written(self, job: Job) -> None:
        """Where a running job stands is in the ledger. Raises `JobCancelled` where it was cancelled before."""
        await self.standstill.insist(partial(self._ledger.put, job), job)

    def _progressed(self, lane: GeneratorQueue, job: Job, preview: bytes | None) -> None:
        lane.note(job)
        self._tell(job, "step")
        if preview is not None and self.events.watched(job.id):
            self._tell(job, "preview", preview)

    def _tell(self, job: Job, name: str, preview: bytes | None = None) -> None:
        # A queue's order is worth working out only for somebody who looks.
        looked_at = job.state is JobState.RUNNING or self.events.watched(job.id)
        outlook = self._outlook(job) if looked_at else (0, None)
        self.events.publish(job, name, outlook, preview, self.standstill.reason)

    def _tell_waiting(self, lane: GeneratorQueue) -> None:
        for job in lane.waiting:
            if self.events.watched(job.id):
                self._tell(job, "queued")

    def _outlook(self, job: Job) -> Outlook:
        return self.position(job), self.eta_s(job)

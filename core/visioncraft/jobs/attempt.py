"""One run of a job: its pictures, drawn side by side where its lane has room, each stored as soon as it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import count

from visioncraft.errors import StorageUnavailable, WorkerLost
from visioncraft.images.png import with_record
from visioncraft.jobs.job import Job
from visioncraft.jobs.progress import JobProgress, Report
from visioncraft.jobs.standstill import WAITING, Standstill
from visioncraft.jobs.storing import ImageWriter, record_of
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.generation import GeneratedImage
from visioncraft.workers.pool import WorkerPool


class Attempt:
    """A job's pictures from its start to the last one's record. All methods are called in one event loop.

    Args:
        job: Learns of each step and picture.
        generator: The name of the one that draws.
        pool, writer: Draw and store.
        standstill: Has it wait where nothing can be stored.
        known: Done when the ledger knows the pictures' ids; none is stored before.
        report: Called after each change of the job.
        on_free_slot: Called where places of the queue may have become free.
    """

    def __init__(
        self,
        job: Job,
        generator: str,
        pool: WorkerPool,
        writer: ImageWriter,
        standstill: Standstill,
        known: asyncio.Task[None],
        report: Report,
        on_free_slot: Callable[[], None],
    ) -> None:
        self._job, self._generator = job, generator
        self._pool, self._writer, self._standstill, self._known = pool, writer, standstill, known
        self._report, self._on_free_slot = report, on_free_slot
        self._missing = list(range(job.request.num_images))
        self._records: dict[int, ImageRecord] = {}
        self._taken: dict[int, int] = {}  # steps, by picture
        self._draws: dict[int, asyncio.Task[GeneratedImage]] = {}
        self._ended: asyncio.Queue[tuple[int, asyncio.Task[None]]] = asyncio.Queue()
        self._trouble: BaseException | None = None
        self._stopped = False

    @property
    def wants_more(self) -> bool:
        """Whether there is a picture that nobody draws yet and that is worth drawing."""
        return bool(self._missing) and self._trouble is None

    async def run(self) -> list[ImageRecord]:
        """Draw what is missing; answers all records in their order.

        Where a picture fails, those that are being drawn come to their end and are kept, and the first failure is
        raised. `WorkerLost` is raised so too: called again, it draws what was lost.
        """
        self._trouble = None
        while self._job.active_images or self.wants_more:
            if not self._job.active_images:
                self.start_next()
            self._on_free_slot()
            self._end(*await self._ended.get())
        if self._trouble is not None:
            raise self._trouble
        return self._job.records

    def start_next(self) -> None:
        """Draw one more picture beside those that are being drawn."""
        number = self._missing.pop(0)
        self._job.active_images += 1
        picture = asyncio.create_task(self._picture(number))
        picture.add_done_callback(lambda done: self._ended.put_nowait((number, done)))

    def stop(self) -> None:
        """Stop at the next step."""
        self._stopped = True
        for draw in self._draws.values():
            draw.cancel()

    def _end(self, number: int, picture: asyncio.Task[None]) -> None:
        self._job.active_images -= 1
        try:
            picture.result()
        except WorkerLost as lost:
            self._taken.pop(number, None)
            self._missing = sorted([number, *self._missing])
            self._trouble = self._trouble or lost
        except (Exception, asyncio.CancelledError) as failure:
            if self._trouble is None or isinstance(self._trouble, WorkerLost):
                self._trouble = failure

    async def _picture(self, number: int) -> None:
        """One of the pictures; of several, those that an earlier run stored are not drawn again."""
        job = self._job
        request, image_id = job.image_request(number)
        began = (job.started_at if number == 0 else None) or datetime.now(UTC)
        record = await self._found(image_id) if job.again or job.request.num_images > 1 else None
        if record is None:
            image = await self._standstill.insist(partial(self._drawn, number), job, (StorageUnavailable,))
            await self._known
            record = await self._stored(number, image, began)
        self._taken[number] = request.steps_drawn
        self._records[number] = record
        job.records = [self._records[stored] for stored in sorted(self._records)]

    async def _found(self, image_id: str) -> ImageRecord | None:
        return await self._standstill.insist(partial(self._writer.find_stored, image_id), self._job)

    async def _stored(self, number: int, image: GeneratedImage, began: datetime) -> ImageRecord:
        """Store a picture, however long the disk takes nothing; it waits in memory meanwhile."""
        job, tries = self._job, count()
        record = record_of(job, number, self._generator, image, began)
        png = await asyncio.to_thread(with_record, image.png, record)

        async def attempt() -> ImageRecord:
            again = next(tries) > 0
            job.stage = WAITING if again else "storing"
            return await self._writer.keep(record, png, again)

        kept = await self._standstill.insist(attempt, job)
        job.png = png if number == 0 else job.png
        return kept

    async def _drawn(self, number: int) -> GeneratedImage:
        if self._stopped or self._job.cancel_requested:
            raise asyncio.CancelledError
        request, _ = self._job.image_request(number)
        progress = JobProgress(self._job, partial(self._shown, number), self._taken, number)
        self._draws[number] = asyncio.create_task(self._pool.run(self._generator, request, progress))
        try:
            return await self._draws[number]
        finally:
            del self._draws[number]

    def _shown(self, number: int, job: Job, preview: bytes | None) -> None:
        """Of pictures that are drawn side by side only the first is shown: previews say not which they are of."""
        self._report(job, preview if number == min(self._draws, default=number) else None)


def least_helped(jobs: Iterable[Job], attempts: Mapping[Job, Attempt]) -> Attempt | None:
    """Of the jobs with images that nobody draws yet, the attempt of the one that has the fewest in hand."""
    running = {job: attempts[job] for job in jobs if job in attempts}
    wanting = [job for job, attempt in running.items() if job.active_images and attempt.wants_more]
    return running[min(wanting, key=lambda job: job.active_images)] if wanting else None

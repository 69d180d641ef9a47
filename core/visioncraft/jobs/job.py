"""A job and its states."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from visioncraft.errors import JobCancelled, VisionCraftError
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.generation import GenerationRequest
from visioncraft.types.ids import following
from visioncraft.types.jobs import FINAL as FINAL, JobState as JobState


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks, and how.

    Args:
        client: Clients take turns.
        priority: Higher ones first, whoever asks.
        key: The client's `Idempotency-Key`.
        fingerprint: Of what was asked under that key.
        warnings: What of the question means nothing here, a sentence each.
    """

    client: str = ""
    priority: int = 0
    key: str | None = None
    fingerprint: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def background(self) -> bool:
        """Whether it is work for when nobody waits, of a priority below 0, as the lines of a batch."""
        return self.priority < 0


@dataclass(slots=True, eq=False)
class Job:
    """One picture to draw, from acceptance to its end.

    Args:
        id: `job_` and 26 lower-case letters and digits.
        request: What to draw.
        order: Who asks.
        lost_workers: How many workers it has lost.
        image_id: The picture's id, drawn when the job first starts, so that a job that runs again keeps its picture
            once. Further pictures have the ids that follow.
        record: The first picture, once the job has ended well.
        records: All pictures stored so far, in their order.
        active_images: How many of its pictures are being drawn now.
        cancelled_by: Who or what asked to cancel it, for the log.
        again: An earlier server has begun it, and may have stored pictures of it.
    """

    id: str
    request: GenerationRequest
    order: Order = field(default_factory=Order)
    state: JobState = JobState.QUEUED
    lost_workers: int = 0
    image_id: str | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    ended_at: datetime | None = None
    step: int = 0
    stage: str = "queued"
    record: ImageRecord | None = None
    records: list[ImageRecord] = field(default_factory=list)
    active_images: int = 0
    again: bool = False
    error: VisionCraftError | None = None
    cancel_requested: bool = False
    cancelled_by: str = ""
    png_readers: int = 0
    png: bytes | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def steps(self) -> int:
        """Denoising steps in all."""
        return self.request.steps_drawn * self.request.num_images

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in FINAL

    @property
    def warnings(self) -> list[str]:
        """What of the request is not in the pictures, or not as asked, as far as that is known yet."""
        told = [*self.order.warnings, *(each for record in self.records for each in record.warnings)]
        return list(dict.fromkeys(told))

    def image_request(self, number: int) -> tuple[GenerationRequest, str]:
        """What one picture of it asks for, and that picture's id.

        Each part has a job id of its own: a generator that pays for its work pays for each once.
        """
        if self.image_id is None:
            raise VisionCraftError(f"{self.id} was never started")
        if number == 0 and self.request.num_images == 1:
            return self.request, self.image_id
        seed, job_id = self.request.seed + number, following(self.id, number)
        request = replace(self.request, seed=seed, num_images=1, job_id=job_id)
        return request, following(self.image_id, number)

    def start(self) -> None:
        """The job leaves the queue, for the first time or again."""
        self.state, self.stage, self.step = JobState.RUNNING, "starting", 0
        self.started_at = self.started_at or datetime.now(UTC)

    def requeue(self) -> None:
        """The job goes back to where it waited: the server ends, and draws it after its next start."""
        self.state, self.stage, self.step = JobState.QUEUED, "queued", 0
        self.again = self.image_id is not None

    def end(self, outcome: ImageRecord | VisionCraftError) -> None:
        """The picture is stored, or there is none."""
        if isinstance(outcome, ImageRecord):
            self.record, self.state = outcome, JobState.SUCCEEDED
            self.records = self.records or [outcome]
        else:
            self.error = outcome
            self.state = JobState.CANCELLED if isinstance(outcome, JobCancelled) else JobState.FAILED
        self.ended_at, self.stage = datetime.now(UTC), self.state.value

    def announce(self) -> None:
        """Wake those who wait for the end."""
        self._ended.set()

    async def wait(self) -> None:
        """Until the state is final and written down."""
        await self._ended.wait()

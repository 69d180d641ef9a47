"""A job, its states, and the progress a generator reports into it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from visioncraft.errors import JobCancelled, VisionCraftError
from visioncraft.types import GenerationRequest, ImageRecord


class JobState(StrEnum):
    """Where a job stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class Job:
    """One picture to draw, from acceptance to its end.

    Parameters
    ----------
    id: `job_` and 26 lower-case letters and digits.
    request: What to draw.
    wants_png: Whether the submitter takes the picture's bytes from the job (`take_png`); they are not kept otherwise.
    """

    id: str
    request: GenerationRequest
    wants_png: bool = False
    state: JobState = JobState.QUEUED
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    ended_at: datetime | None = None
    step: int = 0
    stage: str = "queued"
    record: ImageRecord | None = None
    error: VisionCraftError | None = None
    on_change: Callable[[Job], object] | None = None
    _png: bytes | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def steps(self) -> int:
        """Denoising steps in all."""
        return self.request.num_inference_steps

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody cancelled it, though it may still be on its way to stop."""
        return self._cancelled.is_set()

    def request_cancel(self) -> None:
        """Ask a running job to stop at its next step."""
        self._cancelled.set()

    def start(self) -> None:
        """The job leaves the queue."""
        self.state, self.started_at, self.stage = JobState.RUNNING, datetime.now(UTC), "starting"
        self._changed()

    def succeed(self, record: ImageRecord, png: bytes) -> None:
        """The picture is stored."""
        self.record = record
        self._png = png if self.wants_png else None
        self._end(JobState.SUCCEEDED)

    def fail(self, error: VisionCraftError) -> None:
        """The job ended without a picture."""
        self.error = error
        self._end(JobState.CANCELLED if isinstance(error, JobCancelled) else JobState.FAILED)

    def take_png(self) -> bytes:
        """The picture's bytes, once; after that only the store has them."""
        if self._png is None:
            raise RuntimeError(f"{self.id}: no picture is held")
        png, self._png = self._png, None
        return png

    def drop_png(self) -> None:
        """The submitter has left: whatever bytes are or would be held are not."""
        self.wants_png, self._png = False, None

    async def wait(self) -> None:
        """Until the state is final."""
        await self._ended.wait()

    def _end(self, state: JobState) -> None:
        self.state, self.ended_at, self.stage = state, datetime.now(UTC), state.value
        self._changed()
        self._ended.set()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change(self)


class JobProgress:
    """The `Progress` of one job; generators call it from whatever thread they draw in."""

    def __init__(self, job: Job) -> None:
        self._job = job

    @property
    def cancelled(self) -> bool:
        """Whether the job was cancelled."""
        return self._job.cancel_requested

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Record step `step`; raises `JobCancelled` if the job was cancelled."""
        self._job.step = step
        self.stage("drawing")

    def stage(self, name: str) -> None:
        """Record what is going on; raises `JobCancelled` if the job was cancelled."""
        if self._job.cancel_requested:
            raise JobCancelled
        self._job.stage = name
        self._job._changed()


class NoProgress:
    """A `Progress` nobody watches, for loading a model outside any job."""

    cancelled = False

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Nothing to do."""

    def stage(self, name: str) -> None:
        """Nothing to do."""

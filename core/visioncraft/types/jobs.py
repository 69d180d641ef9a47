"""Jobs as everybody outside the queue sees them: where one stands, and what happens to it. Plain facts, never live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from visioncraft.errors import VisionCraftError
from visioncraft.types.gallery import ImageRecord


class JobState(StrEnum):
    """Where a job stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""The states after which nothing happens to a job."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job and where it stands, at one moment.

    Args:
        id: `job_` and 26 lower-case letters and digits.
        state: Where it stands.
        stage: What is going on, for people: queued, loading, drawing, storing.
        step: Denoising steps that are done, of all its images.
        steps: Denoising steps in all.
        position: Its place in the queue, 1 being next; 0 once it runs.
        eta_s: About how many seconds until it ends, from what earlier ones took; None where nobody can say.
        priority: Higher ones run first.
        caller: Who asked; callers take turns.
        model: The model's id.
        seed: Of its first image.
        parameters: All parameters used, as `POST /generate` answers them.
        created_at: When it was accepted, UTC.
        started_at: When it first ran; None before.
        ended_at: When it ended; None before.
        images: Records of the images stored so far, in their order.
        error: Why it failed or was cancelled.
        warnings: What of the request is not in the images, or not as asked, a sentence each.
        dialect: In which plugin's dialect it was asked for; empty for the API's own.
        owner: Whose it is; empty where nobody is told apart.
    """

    id: str
    state: JobState
    stage: str
    step: int
    steps: int
    position: int
    eta_s: float | None
    priority: int
    caller: str
    model: str
    seed: int
    parameters: Mapping[str, Any]
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    images: tuple[ImageRecord, ...] = ()
    error: VisionCraftError | None = None
    warnings: tuple[str, ...] = ()
    dialect: str = ""
    owner: str = ""

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One change of one job, as it was then.

    Args:
        id: Of this event; events of one job sort by time. Ids of another run of the server are told apart.
        name: `queued`, `running`, `step`, `preview`, `succeeded`, `failed` or `cancelled`.
        job_id: The job.
        state: Where the job stood.
        stage: What went on.
        step: Denoising steps that were done.
        steps: Denoising steps in all.
        position: Its place in the queue, 1 being next; 0 once it ran.
        eta_s: About how many seconds were left; None where nobody could say.
        preview: A small PNG of what is being drawn, with `preview`.
        trouble: Why the queue stood still, as nothing could be kept; None while all is well.
        image: The record of the first image, with the last event of a job that succeeded.
        error: Why it failed or was cancelled, with the last event.
        warnings: What of the request is not in the images, with the last event.
        model: The model's id.
        owner: Whose the job is; empty where nobody is told apart.
    """

    id: str
    name: str
    job_id: str
    state: JobState
    stage: str
    step: int
    steps: int
    position: int
    eta_s: float | None
    preview: bytes | None = field(default=None, repr=False)
    trouble: str | None = None
    image: ImageRecord | None = None
    error: VisionCraftError | None = None
    warnings: tuple[str, ...] = ()
    model: str = ""
    owner: str = ""

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self.state in FINAL

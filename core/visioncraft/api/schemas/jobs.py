"""Jobs and their queue: `/jobs`, `/queue`, `/ws`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from visioncraft.api.schemas.errors import JobError
from visioncraft.api.schemas.fields import Asked
from visioncraft.api.schemas.gallery import GalleryEntry
from visioncraft.api.schemas.generation import GenerationParameters
from visioncraft.api.schemas.hints import OF_JOBS
from visioncraft.jobs.job import JobState


class JobAnswer(BaseModel):
    """A job and where it stands."""

    id: str = Field(examples=["job_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    stage: str = Field(description="What is going on: queued, loading, drawing, storing, …")
    step: int
    steps: int
    position: int = Field(description="Place in the queue, 1 is next; 0 once it runs")
    eta_s: float | None = Field(description="About how many seconds are left, from what earlier pictures took")
    left_s: float | None = Field(description="The same under its name in 1.0, for one version more", deprecated=True)
    priority: int
    client: str = Field(description="Who asked: clients take turns", examples=["127.0.0.1"])
    model: str
    seed: int
    parameters: GenerationParameters
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    image: GalleryEntry | None = Field(description="The stored picture once the job succeeded")
    images: list[GalleryEntry] = Field(description="All pictures stored so far, in their order")
    error: JobError | None
    warnings: list[str] = Field(description="What of the request was not drawn, or not as asked; often none")


class JobEvent(BaseModel):
    """What a watcher of jobs is told. `image`, `error` and `warnings` come with the last event."""

    event: Literal["queued", "running", "step", "preview", "succeeded", "failed", "cancelled"]
    id: str = Field(description="The job", examples=["job_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    stage: str
    step: int
    steps: int
    position: int
    eta_s: float | None
    left_s: float | None = Field(description="The same under its name in 1.0, for one version more", deprecated=True)
    preview: str | None = Field(None, description="A small picture of what is being drawn: a data URL, with `preview`")
    trouble: str | None = Field(None, description="Why the queue stands still, as in GET /queue")
    image: GalleryEntry | None = None
    error: JobError | None = None
    warnings: list[str] | None = None


class JobSetAside(BaseModel):
    """A job that was accepted and that the ledger cannot tell of any more, because its file was damaged."""

    id: str = Field(description="As far as it can be read", examples=["job_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    reason: str


class JobsAsked(Asked):
    """`GET /jobs`: which jobs, and how many."""

    FOREIGN = OF_JOBS

    limit: int = Field(50, ge=1, le=500, description="At most so many, newest first")
    status: JobState | None = Field(None, description="Only those in this state")


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobAnswer]
    set_aside: list[JobSetAside] = Field(description="Jobs that were lost to damage, the last that was noticed first")
    warnings: list[str] | None = Field(None, description="What of the question means nothing here; else absent")


class QueueAnswer(BaseModel):
    """The queue as a whole."""

    paused: bool = Field(description="Whether it stands still; jobs that run end")
    trouble: str | None = Field(
        description="Why nothing can be kept, as on a full disk. The queue stands still then, what is drawn waits in "
        "memory, and all goes on by itself once that is mended"
    )
    queued: int
    running: int
    capacity: int = Field(description="How many may wait; past that a request gets 429")

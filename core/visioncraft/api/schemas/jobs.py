"""Jobs: `/jobs`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from visioncraft.api.schemas.errors import JobError
from visioncraft.api.schemas.gallery import GalleryEntry
from visioncraft.api.schemas.generation import GenerationParameters


class JobAnswer(BaseModel):
    """A job and where it stands."""

    id: str = Field(examples=["job_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    stage: str = Field(description="What is going on: queued, loading, drawing, storing, …")
    step: int
    steps: int
    position: int = Field(description="Place in the queue, 1 is next; 0 once it runs")
    model: str
    seed: int
    parameters: GenerationParameters
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    image: GalleryEntry | None = Field(description="The stored picture once the job succeeded")
    error: JobError | None

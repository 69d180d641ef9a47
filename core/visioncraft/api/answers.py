"""What several routes answer: stored images, jobs and their events, as clients see them."""

from __future__ import annotations

import pybase64

from visioncraft.api.errors import envelope
from visioncraft.api.links import link
from visioncraft.api.schemas.errors import JobError
from visioncraft.api.schemas.gallery import GalleryEntry
from visioncraft.api.schemas.generation import GenerationParameters
from visioncraft.api.schemas.jobs import JobAnswer, JobEvent
from visioncraft.printing import without_folders
from visioncraft.types import jobs
from visioncraft.types.gallery import ImageRecord


def entry(record: ImageRecord) -> GalleryEntry:
    """A record as the gallery shows it, without the picture's data."""
    return GalleryEntry(
        id=record.id,
        filename=record.filename,
        prompt=record.prompt,
        negative_prompt=record.negative_prompt,
        model=record.model,
        seed=record.seed,
        generation_time=record.generation_time,
        vram_used=record.vram_used,
        width=record.width,
        height=record.height,
        created_at=record.created_at,
        generator=record.generator,
        tags=list(record.marks.tags),
        favourite=record.marks.favourite,
        rating=record.marks.rating,
        notes=record.marks.notes,
        url=link(f"/images/{record.id}"),
        thumbnail_url=link(f"/images/{record.id}/thumbnail"),
    )


def job_answer(job: jobs.JobView) -> JobAnswer:
    """A job as clients see it."""
    return JobAnswer(
        id=job.id,
        status=job.state.value,
        stage=job.stage,
        step=job.step,
        steps=job.steps,
        position=job.position,
        eta_s=job.eta_s,
        left_s=job.eta_s,
        priority=job.priority,
        client=job.caller,
        model=job.model,
        seed=job.seed,
        parameters=GenerationParameters(**job.parameters),
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        image=entry(job.images[0]) if job.state is jobs.JobState.SUCCEEDED else None,
        images=[entry(record) for record in job.images],
        error=JobError(**envelope(job.error)["error"]) if job.error else None,
        warnings=list(job.warnings),
    )


def event_answer(event: jobs.JobEvent) -> JobEvent:
    """An event as watchers are told it."""
    preview = f"data:image/png;base64,{pybase64.b64encode(event.preview).decode()}" if event.preview else None
    return JobEvent.model_validate(
        {
            "event": event.name,
            "id": event.job_id,
            "status": event.state.value,
            "stage": event.stage,
            "step": event.step,
            "steps": event.steps,
            "position": event.position,
            "eta_s": event.eta_s,
            "left_s": event.eta_s,
            "preview": preview,
            "trouble": trouble_told(event.trouble),
            "image": entry(event.image) if event.image else None,
            "error": envelope(event.error)["error"] if event.error else None,
            "warnings": list(event.warnings) if event.final else None,
        }
    )


def trouble_told(trouble: str | None) -> str | None:
    """Why the queue stands still, without this machine's folders."""
    return without_folders(trouble) if trouble else None

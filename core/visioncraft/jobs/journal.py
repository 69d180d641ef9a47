"""The lines of the log about jobs: accepted, started, ended, gone on with after a restart. Prompts are not in them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from visioncraft.jobs.job import Job, JobState

log = logging.getLogger(__name__)
_NAMED = 10


def accepted(job: Job) -> None:
    """A job is on disk."""
    request = job.request
    many = f"{request.num_images} x " if request.num_images > 1 else ""
    what = f"{many}{request.width}x{request.height}, {job.steps} steps"
    facts = {"model": request.model.id, "width": request.width, "height": request.height, "client": job.order.client}
    _say(job, f"accepted: {request.model.id}, {what}, for {job.order.client or 'nobody in particular'}", **facts)


def started(job: Job) -> None:
    """A job has left its queue."""
    _say(job, f"started after {_seconds(job.created_at, job.started_at):.3f} s")


def ended(job: Job) -> None:
    """A job has its picture, or an error in its place."""
    begun = job.started_at or job.created_at
    took = _seconds(begun, job.ended_at)
    facts = {"status": job.state.value, "seconds": took, "model": job.request.model.id, "steps": job.step}
    told = f"{job.state.value} after {took:.3f} s{'' if job.started_at else ' in the queue'}"
    if job.state is JobState.CANCELLED:
        _say(job, f"{told}, step {job.step} of {job.steps}: {job.cancelled_by or 'nobody said why'}", **facts)
    elif job.error is not None:
        _say(job, f"{told}: {job.error.code}: {job.error.message}", **facts)
    else:
        _say(job, f"{told}: {', '.join(record.id for record in job.records)}", **facts)


def resumed(jobs: Sequence[Job]) -> None:
    """A server has begun, and goes on with what an earlier one left."""
    if jobs:
        named = ", ".join(job.id for job in jobs[:_NAMED]) + (", …" if len(jobs) > _NAMED else "")
        one = "1 job goes" if len(jobs) == 1 else f"{len(jobs)} jobs go"
        log.info("%s on that an earlier server left: %s", one, named, extra={"facts": {"jobs": len(jobs)}})


def _say(job: Job, what: str, **facts: object) -> None:
    log.info("%s %s", job.id, what, extra={"facts": {"job": job.id, **facts}})


def _seconds(begin: datetime, end: datetime | None) -> float:
    return round((end - begin).total_seconds(), 3) if end else 0.0

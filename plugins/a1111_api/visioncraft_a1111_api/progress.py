"""`/progress`, `/interrupt` and `/skip`: of this client's own jobs, whoever else draws."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from visioncraft import JobState, JobView, Service, VisionCraftError

DIALECT = "a1111"
"""What images of this dialect keep as the fact `dialect`."""


class Previews:
    """The newest preview of each job that somebody asks for the progress of.

    Engines make previews for jobs that are watched, so a job is watched from the first question to its end.

    Args:
        service: Tells of jobs.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._newest: dict[str, bytes | None] = {}
        self._watching: set[asyncio.Task[None]] = set()

    def of(self, job_id: str) -> bytes | None:
        """Returns a job's newest preview, a PNG; None while there is none."""
        if job_id not in self._newest:
            self._newest[job_id] = None
            task = asyncio.create_task(self._watch(job_id))
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)
        return self._newest[job_id]

    async def _watch(self, job_id: str) -> None:
        try:
            with suppress(VisionCraftError):  # it was forgotten meanwhile
                async for event in self._service.watch(job_id):
                    if event.preview is not None:
                        self._newest[job_id] = event.preview
        finally:
            del self._newest[job_id]


def add_routes(routes: APIRouter, service: Service) -> None:
    """Adds the routes."""
    previews = Previews(service)

    @routes.get("/progress")
    async def progress(request: Request, skip_current_image: str = "false") -> dict[str, Any]:
        """How far this client's running job is, with the image as it looks now."""
        jobs = _own(service, request)
        job = next((each for each in jobs if each.state is JobState.RUNNING), None)
        wanted = job is not None and skip_current_image.lower() not in ("true", "1", "yes")
        preview = previews.of(job.id) if job is not None and wanted else None
        return document(jobs, job, preview)

    @routes.post("/interrupt")
    async def interrupt(request: Request) -> dict[str, Any]:
        """Stop this client's jobs that run; those that wait where none does."""
        await _stop(service, _own(service, request))
        return {}

    @routes.post("/skip")
    async def skip(request: Request) -> dict[str, Any]:
        """As interrupt: a job is stopped whole, and keeps the images that are done."""
        await _stop(service, _own(service, request))
        return {}


def document(jobs: Sequence[JobView], running: JobView | None, preview: bytes | None) -> dict[str, Any]:
    """Returns `GET /progress`.

    Args:
        jobs: All of the client's that run or wait.
        running: The one that is told of.
        preview: What it looks like now, a PNG.
    """
    step, steps = (running.step, running.steps) if running else (0, 0)
    images = int(running.parameters.get("num_images", 1)) if running else 1
    each = max(1, steps // images)
    return {
        "progress": step / steps if steps else 0.0,
        "eta_relative": (running.eta_s or 0.0) if running else 0.0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "stopping_generation": False,
            "job": f"scripts_{_kind(jobs[0])}" if jobs else "",
            "job_count": sum(int(job.parameters.get("num_images", 1)) for job in jobs),
            "job_timestamp": running.created_at.strftime("%Y%m%d%H%M%S") if running else "0",
            "job_no": min(step // each, images - 1),
            "sampling_step": step % each,
            "sampling_steps": each if running else 0,
        },
        "current_image": base64.b64encode(preview).decode() if preview else None,
        "textinfo": running.stage if running else None,
    }


def _own(service: Service, request: Request) -> list[JobView]:
    """This client's jobs in this dialect, those that run first."""
    return [job for job in service.jobs(service.caller_of(request)) if job.dialect == DIALECT]


async def _stop(service: Service, jobs: Sequence[JobView]) -> None:
    running = [job for job in jobs if job.state is JobState.RUNNING]
    for job in running or jobs:
        await service.cancel(job.id, "its client interrupted it")


def _kind(job: JobView) -> str:
    return "img2img" if "init_image" in job.parameters else "txt2img"

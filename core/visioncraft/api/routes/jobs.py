"""`/jobs`: submit without waiting, look, cancel."""

from __future__ import annotations

from fastapi import APIRouter, Response

from visioncraft.api.deps import RuntimeDep
from visioncraft.api.errors import envelope
from visioncraft.api.openapi import responses
from visioncraft.api.routes.gallery import entry
from visioncraft.api.routes.generate import submit
from visioncraft.api.schemas.errors import JobError
from visioncraft.api.schemas.generation import GenerateBody, GenerationParameters
from visioncraft.api.schemas.jobs import JobAnswer
from visioncraft.jobs.job import Job
from visioncraft.runtime import Runtime

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.post("", status_code=202, responses=responses(404, 429))
async def create_job(body: GenerateBody, response: Response, runtime: RuntimeDep) -> JobAnswer:
    """Queue a generation and answer at once; `Location` names the job."""
    job = await submit(body, runtime)
    response.headers["Location"] = f"/jobs/{job.id}"
    return job_answer(job, runtime)


@router.get("/{job_id}", responses=responses(404))
async def get_job(job_id: str, runtime: RuntimeDep) -> JobAnswer:
    """Where a job stands."""
    return job_answer(runtime.jobs.get(job_id), runtime)


@router.delete("/{job_id}", responses=responses(404))
async def cancel_job(job_id: str, runtime: RuntimeDep) -> JobAnswer:
    """Cancel a job: at once while it waits, within one step while it draws. An ended job stays as it is."""
    return job_answer(runtime.jobs.cancel(job_id), runtime)


def job_answer(job: Job, runtime: Runtime) -> JobAnswer:
    """A job as clients see it."""
    return JobAnswer(
        id=job.id,
        status=job.state.value,
        stage=job.stage,
        step=job.step,
        steps=job.steps,
        position=runtime.jobs.position(job),
        model=job.request.model.id,
        seed=job.request.seed,
        parameters=GenerationParameters(**job.request.parameters()),
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        image=entry(job.record) if job.record else None,
        error=JobError(**envelope(job.error)["error"]) if job.error else None,
    )

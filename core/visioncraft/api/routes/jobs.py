"""`/jobs`: submit without waiting, look, watch, cancel. `/queue`: stop and go on. `/ws`: watch everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse, ServerSentEvent

from visioncraft.api.answers import event_answer, job_answer, trouble_told
from visioncraft.api.deps import RuntimeDep
from visioncraft.api.forms import FormRoute
from visioncraft.api.intake import IdempotencyKey, submit
from visioncraft.api.links import link
from visioncraft.api.needs import needs
from visioncraft.api.openapi import AS_A_FORM, responses
from visioncraft.api.schemas.fields import told
from visioncraft.api.schemas.generation import GenerateBody
from visioncraft.api.schemas.jobs import JobAnswer, JobList, JobsAsked, JobSetAside, QueueAnswer
from visioncraft.jobs.job import Job
from visioncraft.runtime.runtime import Runtime

router = APIRouter(tags=["jobs"], route_class=FormRoute)


@router.post(
    "/jobs", status_code=202, responses=responses(404, 429), openapi_extra=AS_A_FORM, dependencies=[needs("generate")]
)
async def create_job(
    body: GenerateBody,
    request: Request,
    response: Response,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Queue a generation and answer at once; `Location` names the job. What is accepted outlives a crash."""
    job = await submit(body, request, runtime, idempotency_key)
    response.headers["Location"] = link(f"/jobs/{job.id}")
    return job_answer(runtime.service.view(job))


@router.get("/jobs", response_model=JobList, responses=responses(), dependencies=[needs("generate")])
async def list_jobs(runtime: RuntimeDep, asked: Annotated[JobsAsked, Query()]) -> Response:
    """The newest jobs, those that ended too until they are forgotten."""
    service = runtime.service
    jobs = [job_answer(service.view(job)) for job in await service.latest(asked.limit, asked.status)]
    gone = [JobSetAside(id=each.id, reason=each.reason) for each in await service.set_aside(asked.limit)]
    found = JobList(jobs=jobs, set_aside=gone, **told(asked))
    # Written once, and not in the event loop: a model that is returned would be validated and walked over again there.
    text = await asyncio.to_thread(found.model_dump_json, exclude=None if found.warnings else {"warnings"})
    return Response(text, media_type="application/json")


async def _find(job_id: str, runtime: RuntimeDep) -> Job:
    return await runtime.service.find_job(job_id)


JobDep = Annotated[Job, Depends(_find)]


@router.get("/jobs/{job_id}", responses=responses(404), dependencies=[needs("generate")])
async def get_job(job: JobDep, runtime: RuntimeDep) -> JobAnswer:
    """Where a job stands."""
    return job_answer(runtime.service.view(job))


LastEventId = Annotated[str | None, Header(max_length=64)]
_HEARD_ALL: dict[int | str, dict[str, Any]] = {204: {"description": "The job ended, and its last event was heard"}}


async def _something_to_tell(job: JobDep, runtime: RuntimeDep, last_event_id: LastEventId = None) -> None:
    if runtime.jobs.events.heard_all(job, last_event_id):
        raise HTTPException(204)  # which ends an EventSource; after anything else it comes back every few seconds


@router.get(
    "/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    responses=responses(404) | _HEARD_ALL,
    dependencies=[needs("generate"), Depends(_something_to_tell)],
)
async def watch_job(
    job: JobDep, runtime: RuntimeDep, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events of one job until its end: where it stands first, then every change, previews among them.

    `Last-Event-ID`, which browsers send when they connect again, brings what was missed; after the last event 204.
    """
    async for event in runtime.jobs.watch(job, last_event_id):
        yield ServerSentEvent(data=event_answer(event), event=event.name, id=event.id)


@router.delete("/jobs/{job_id}", responses=responses(404), dependencies=[needs("generate")])
async def cancel_job(job: JobDep, runtime: RuntimeDep) -> JobAnswer:
    """Cancel a job: at once while it waits, within one step while it draws. An ended job stays as it is."""
    return job_answer(await runtime.service.cancel(job.id, "a client asked to"))


@router.get("/queue", responses=responses(), dependencies=[needs("models:read")])
async def queue(runtime: RuntimeDep) -> QueueAnswer:
    """How many jobs wait and run, and whether the queue stands still."""
    jobs = runtime.jobs
    return QueueAnswer(
        paused=jobs.paused,
        trouble=trouble_told(jobs.trouble),
        queued=jobs.queued,
        running=jobs.running,
        capacity=jobs.capacity,
    )


@router.post("/queue/pause", responses=responses(), dependencies=[needs("jobs:all")])
async def pause(runtime: RuntimeDep) -> QueueAnswer:
    """Start no further jobs, also after a restart; new ones are still accepted, and those that run end."""
    await runtime.jobs.pause()
    return await queue(runtime)


@router.post("/queue/resume", responses=responses(), dependencies=[needs("jobs:all")])
async def resume(runtime: RuntimeDep) -> QueueAnswer:
    """Start jobs again."""
    await runtime.jobs.resume()
    return await queue(runtime)


@router.websocket("/ws", dependencies=[needs("generate")])
async def watch_all(socket: WebSocket) -> None:
    """Every change of every job as JSON: first where those stand that wait or run, then what happens."""
    runtime: Runtime = socket.app.state.runtime
    await socket.accept()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_when_gone, socket, tasks.cancel_scope)
        with suppress(WebSocketDisconnect):
            await _tell_all(socket, runtime)
        tasks.cancel_scope.cancel()


async def _tell_all(socket: WebSocket, runtime: Runtime) -> None:
    with runtime.service.listening() as stream:
        for job in runtime.service.live():
            await socket.send_text(event_answer(runtime.jobs.snapshot(job)).model_dump_json(exclude_none=True))
        async for event in stream:
            await socket.send_text(event_answer(event).model_dump_json(exclude_none=True))
    await socket.close()


async def _cancel_when_gone(socket: WebSocket, telling: anyio.CancelScope) -> None:
    """Read, and pass over what is said, until the client has gone: nothing else tells it on a server without jobs."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    telling.cancel()

"""`POST /generate` and `POST /load_model`: the main job."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from visioncraft.api.deps import RuntimeDep
from visioncraft.api.drawn import accepted, answer
from visioncraft.api.forms import FormRoute
from visioncraft.api.openapi import AS_A_FORM, THE_PICTURE, responses
from visioncraft.api.schemas.fields import NAME_PATTERN, told
from visioncraft.api.schemas.generation import GenerateAnswer, GenerateBody, LoadModelAnswer, LoadModelBody
from visioncraft.api.sent_pictures import resolved
from visioncraft.errors import InvalidRequest, ModelNotAvailable, ServiceUnavailable
from visioncraft.jobs.job import Job, Order
from visioncraft.jobs.progress import NoProgress
from visioncraft.jobs.requests import Plan, plan_request
from visioncraft.runtime.runtime import Runtime
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.models import ModelInfo

router = APIRouter(tags=["generation"], route_class=FormRoute)


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="The same key gives the same job, however often it is sent: for clients that ask again after a "
        "lost connection. Such a job is not cancelled when its client hangs up",
    ),
]


@router.post(
    "/generate",
    response_model=GenerateAnswer,
    responses=responses(404, 409, 429, 502) | THE_PICTURE,
    openapi_extra=AS_A_FORM,
)
async def generate(
    body: GenerateBody, request: Request, runtime: RuntimeDep, idempotency_key: IdempotencyKey = None
) -> Response:
    """Generate an image from a text prompt and wait for it. Hanging up cancels this job and no other.

    The headers `X-Job-Id` and `X-Image-Id` name the job and the stored picture. `Accept: image/png` answers the picture
    itself, `image/webp` and `image/jpeg` one made of it; `*/*` is JSON.
    """
    kind = accepted(", ".join(request.headers.getlist("accept")), several=(body.num_images or 1) > 1)
    job = await submit(body, request, runtime, idempotency_key, wants_png=True)
    try:
        async with _cancelled_on_hangup(job, request, runtime):
            trouble = await runtime.jobs.outcome(job)
        record = succeeded(job, trouble)
        return await answer(job, record, await runtime.jobs.picture(job), kind, runtime.registry.store)
    finally:
        runtime.jobs.release(job)


@router.post("/load_model", response_model_exclude_unset=True, responses=responses(404, 429))
async def load_model(body: LoadModelBody, runtime: RuntimeDep) -> LoadModelAnswer:
    """Load a model into memory, so that the first generation need not wait for it."""
    model = await find_model(body.model, runtime)
    generator = runtime.registry.generator_for(model).name
    began = time.perf_counter()
    await runtime.pool.load(generator, model, NoProgress())
    device = (await runtime.pool.status(generator)).device
    return LoadModelAnswer(
        message="Model loaded successfully",
        model=model.id,
        vram_used=round(device.vram_used, 2) if device else 0.0,
        load_time=round(time.perf_counter() - began, 3),
        **told(body),
    )


async def submit(
    body: GenerateBody,
    request: Request,
    runtime: Runtime,
    key: str | None,
    wants_png: bool = False,
    warnings: Sequence[str] = (),
) -> Job:
    """Validate a body and queue its job; the same key gives the same job.

    Args:
        body: What is asked for.
        request: Who asks.
        runtime: Draws it.
        key: The client's `Idempotency-Key`.
        wants_png: Whether the picture's bytes are kept for this caller.
        warnings: What is to be told with the job, beside what the body itself gives rise to.
    """
    model = await find_model(body.model if "model" in body.model_fields_set else None, runtime)
    own = body.take({each.name for other in runtime.registry.available() for each in other.parameters})
    order = Order(
        client=client_of(request),
        priority=body.priority or 0,
        key=key,
        fingerprint=_fingerprint(body, own) if key else "",
        warnings=(*body.warnings(), *warnings),
    )
    if key is None:  # under a key it may be a job that is there already
        runtime.jobs.check_queue(model)
    plan = await _planned(model, body, own, runtime)
    complete = partial(plan.complete, runtime.decoders) if plan.pictures else None
    return await runtime.jobs.submit(plan.request, order, wants_png, complete)


async def _planned(model: ModelInfo, body: GenerateBody, own: Mapping[str, Any], runtime: Runtime) -> Plan:
    """The request, validated; in a thread where pictures came with it, whose base64 takes a moment.

    Only what the client sent: for the rest the model has defaults of its own.
    """
    sent = body.model_dump(include=body.model_fields_set - {"prompt", "model", "priority"})
    fields = await resolved(sent, runtime.registry.store)
    plan = partial(plan_request, model, body.prompt, runtime.registry.available, **fields, **own)
    return await asyncio.to_thread(plan) if body.init_image or body.controlnet else plan()


def _fingerprint(body: GenerateBody, own: Mapping[str, Any]) -> str:
    """What tells this request from others under the same key."""
    text = body.model_dump_json() + (json.dumps(own, sort_keys=True) if own else "")
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def client_of(request: Request) -> str:
    """Who asks: the address, and what tells tokens apart where the server has one; nothing that is made up."""
    address = request.client.host if request.client else "unknown"
    mark = getattr(request.state, "token_mark", None)  # set by `guard.TokenGuard`
    return f"{address}#{mark}" if mark else address


async def find_model(name: str | None, runtime: Runtime) -> ModelInfo:
    """The model a client means; weights that came since the last look are found. Raises `ModelNotAvailable`."""
    if name is not None and not re.fullmatch(NAME_PATTERN, name):
        raise InvalidRequest("Invalid model provided", field="model", issue="a model's id, see GET /models")
    try:
        return runtime.registry.model(name)
    except ModelNotAvailable:
        await asyncio.to_thread(runtime.registry.refresh)
        return runtime.registry.model(name)


def succeeded(job: Job, trouble: str | None = None) -> ImageRecord:
    """The picture's record of an ended job. Raises the job's error where there is none.

    Parameters
    ----------
    trouble: Why the job has not ended yet.
    """
    if trouble is not None:
        raise ServiceUnavailable(f"{trouble}. {job.id} goes on by itself then, see GET /jobs/{job.id}", job=job.id)
    if job.record is None:
        raise job.error or ServiceUnavailable(f"The server is ending; {job.id} goes on when it is back")
    return job.record


@asynccontextmanager
async def _cancelled_on_hangup(job: Job, request: Request, runtime: Runtime) -> AsyncIterator[None]:
    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        await runtime.jobs.hung_up(job)

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()

"""`POST /generate` and `POST /load_model`: the main job."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response

from visioncraft.api.deps import RuntimeDep
from visioncraft.api.drawn import accepted, answer
from visioncraft.api.forms import FormRoute
from visioncraft.api.intake import IdempotencyKey, submit
from visioncraft.api.needs import needs
from visioncraft.api.openapi import AS_A_FORM, THE_PICTURE, responses
from visioncraft.api.schemas.fields import told
from visioncraft.api.schemas.generation import GenerateAnswer, GenerateBody, LoadModelAnswer, LoadModelBody
from visioncraft.jobs.progress import NoProgress

router = APIRouter(tags=["generation"], route_class=FormRoute)


@router.post(
    "/generate",
    response_model=GenerateAnswer,
    responses=responses(404, 409, 429, 502) | THE_PICTURE,
    openapi_extra=AS_A_FORM,
    dependencies=[needs("generate")],
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
        record = await runtime.service.outcome(job, request)
        return await answer(job, record, await runtime.jobs.picture(job), kind, runtime.registry.store)
    finally:
        runtime.jobs.release(job)


@router.post(
    "/load_model",
    response_model_exclude_unset=True,
    responses=responses(404, 429),
    dependencies=[needs("models:write")],
)
async def load_model(body: LoadModelBody, runtime: RuntimeDep) -> LoadModelAnswer:
    """Load a model into memory, so that the first generation need not wait for it."""
    model = await runtime.service.find_model(body.model)
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

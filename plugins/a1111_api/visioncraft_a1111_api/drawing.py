"""`/txt2img` and `/img2img`: one job each, which hanging up cancels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from visioncraft import JobCancelled, JobView, ModelInfo, Service

from visioncraft_a1111_api import answers, asking, documents
from visioncraft_a1111_api.asking import Asked
from visioncraft_a1111_api.bodies import Body, read_body
from visioncraft_a1111_api.models import selected
from visioncraft_a1111_api.options import Options
from visioncraft_a1111_api.progress import DIALECT

Read = Callable[[Body, ModelInfo, Mapping[str, Any]], Asked]


def add_routes(routes: APIRouter, service: Service, options: Options) -> None:
    """Adds both routes."""

    @routes.post("/txt2img", response_class=Response, openapi_extra=documents.body(documents.TEXT_TO_IMAGE))
    async def txt2img(request: Request) -> Response:
        """Draw from text."""
        return await _draw(service, options, request, asking.text_to_image)

    @routes.post("/img2img", response_class=Response, openapi_extra=documents.body(documents.IMAGE_TO_IMAGE))
    async def img2img(request: Request) -> Response:
        """Draw over an image, or over the part of it that a mask says."""
        return await _draw(service, options, request, asking.image_to_image)


async def _draw(service: Service, options: Options, request: Request, read: Read) -> Response:
    body = await read_body(request)
    model = await selected(service, options, body)
    overrides = body.part("override_settings")
    chosen = options.with_overrides(overrides)
    asked = read(body, model, chosen)
    if overrides.values and not body.flag("override_settings_restore_afterwards", default=True):
        named = overrides.text("sd_model_checkpoint")
        await options.change(overrides, model if named else None)
    job = await submitted(service, request, asked)
    return await answers.drawn(service, await ended(service, job, request), body, chosen)


async def submitted(service: Service, request: Request, asked: Asked, number: int = 0) -> JobView:
    """Queues what a client asks for.

    Args:
        service: The server.
        request: Who asks, and under which key.
        asked: What for.
        number: Which of the request's jobs this is: a key stands for one job.

    Raises as `Service.submit`.
    """
    key = request.headers.get("idempotency-key")
    return await service.submit(
        asked.model.id,
        asked.prompt,
        caller=service.caller_of(request),
        key=f"{key}/{number}" if key and number else key,
        warnings=asked.told,
        dialect=DIALECT,
        **asked.fields,
    )


async def ended(service: Service, job: JobView, request: Request) -> JobView:
    """Waits for a job; one that was interrupted has the images that were done before.

    Raises:
        JobCancelled: It was interrupted before any was.
        VisionCraftError: It failed.
    """
    try:
        return await service.wait(job.id, request)
    except JobCancelled:
        stopped = await service.job(job.id)
        if not stopped.images:
            raise
        return stopped

"""The routes: images/generations, images/edits, images/variations, models and models/{id}."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from visioncraft import IdempotencyKey, JobView, Service, VisionCraftError, spliced

from visioncraft_openai_api.answers import document_parts
from visioncraft_openai_api.asked import Asked, Operation, understand
from visioncraft_openai_api.bodies import read_body
from visioncraft_openai_api.models import listed, model_document
from visioncraft_openai_api.schemas import ERRORS, IMAGES, ModelAnswer, ModelList, request_body
from visioncraft_openai_api.streams import stream

DIALECT = "openai"
"""What images keep as the fact `dialect`."""

OPERATIONS: tuple[Operation, ...] = get_args(Operation)


def image_routes(service: Service, prefix: str = "") -> APIRouter:
    """The routes that draw.

    Args:
        service: Draws.
        prefix: `/v1`, or nothing for the clients that leave it out; those are not in the documentation.
    """
    routes = APIRouter(prefix=prefix)
    for operation in OPERATIONS:
        _add(routes, service, operation, documented=bool(prefix))
    return routes


def add_model_routes(routes: APIRouter, service: Service) -> None:
    """The routes that list models."""

    @routes.get("/models", responses=ERRORS, tags=["models"])
    async def models() -> ModelList:
        """The models that can draw now, the default one first."""
        return ModelList(data=[ModelAnswer(**model_document(model)) for model in await listed(service)])

    @routes.get("/models/{model_id:path}", responses=ERRORS, tags=["models"])
    async def model(model_id: str) -> ModelAnswer:
        """One model, by its id or another name of it."""
        return ModelAnswer(**model_document(await service.find_model(model_id)))


def _add(routes: APIRouter, service: Service, operation: Operation, documented: bool) -> None:
    path = f"/images/{operation}"

    async def draw(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        return await _drawn(service, operation, request, idempotency_key)

    draw.__doc__ = _SUMMARIES[operation]
    routes.add_api_route(
        path,
        draw,
        methods=["POST"],
        name=f"{operation} of images",
        response_class=Response,
        responses={**ERRORS, **IMAGES} if documented else None,
        openapi_extra=request_body(operation) if documented else None,
        include_in_schema=documented,
    )
    routes.add_api_route(path, _ping, methods=["OPTIONS"], status_code=204, include_in_schema=False)


async def _ping() -> Response:
    """Some clients ask in this way whether anybody is there."""
    return Response(status_code=204, headers={"Allow": "OPTIONS, POST"})


async def _drawn(service: Service, operation: Operation, request: Request, key: str | None) -> Response:
    """Draw what is asked for, and wait for it; hanging up cancels the job."""
    sent = await read_body(request)
    request.state.openai_sent = frozenset(sent)
    asked = await understand(service, operation, sent)
    job = await submitted(service, asked, caller=service.caller_of(request), key=key)
    request.state.openai_job = job.id
    headers = {"X-Job-Id": job.id}
    if asked.stream:
        headers |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        events = stream(service, job, asked, operation, request)
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")
    job = await _ended(service, job, request, key)
    headers["X-Image-Id"] = job.images[0].id
    return spliced(await document_parts(service, job, asked, partial(service.image_url, request)), headers)


async def submitted(service: Service, asked: Asked, **order: Any) -> JobView:
    """Queue the job of a request that has been understood.

    Args:
        service: Draws.
        asked: What to draw.
        order: `caller`, `key` and `priority`, as `service.submit` takes them.

    Raises:
        VisionCraftError: As `service.submit`.
    """
    fields: Mapping[str, Any] = {**asked.fields, **order}
    return await service.submit(asked.model, asked.prompt, warnings=asked.warnings, dialect=DIALECT, **fields)


async def _ended(service: Service, job: JobView, request: Request, key: str | None) -> JobView:
    """The job, once it has ended well. Raises what it ended with instead.

    Whoever is answered an error never comes back for the image: a job that would go on by itself ends with that, unless
    there is a key to come back with.
    """
    try:
        return await service.wait(job.id, request)
    except VisionCraftError:
        if key is None:
            await service.cancel(job.id, "its client was answered an error")
        raise


_SUMMARIES: Mapping[Operation, str] = {
    "generations": "Draw images from text. With `stream` the answer is a stream of events.",
    "edits": "Draw over an image, or over a part of it where there is a mask.",
    "variations": "Draw images like one.",
}

"""`models/{model}:predict` and `models/{model}:generateContent`, with and without the version before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from visioncraft import IdempotencyKey, JobView, ModelInfo, ModelNotAvailable, Service, VisionCraftError

from visioncraft_gemini_api import answers, listing
from visioncraft_gemini_api.asked import Asked, of_prediction, of_talk
from visioncraft_gemini_api.sizes import size_fields

VERSION = "/v1beta"
PREFIXES = (VERSION, "/v1", "")
"""Before `models/`: Open WebUI's users type the version or leave it out, Google's own client adds `/v1`."""


def router(service: Service) -> APIRouter:
    """The routes.

    Args:
        service: Draws.
    """
    routes = APIRouter()
    for prefix in PREFIXES:
        _add_drawing(routes, service, prefix)
    _add_listing(routes, service)
    return routes


def _add_drawing(routes: APIRouter, service: Service, prefix: str) -> None:
    shown = prefix == VERSION

    @routes.post(f"{prefix}/models/{{model:path}}:predict", response_class=Response, include_in_schema=shown)
    async def predict(request: Request, model: str, idempotency_key: IdempotencyKey = None) -> Response:
        """Draw what an instance describes. Hanging up cancels the job, unless it has a key to come back with."""
        job, asked = await _drawn(service, model, request, of_prediction, idempotency_key)
        return await answers.predictions(service, job, asked)

    @routes.post(f"{prefix}/models/{{model:path}}:generateContent", response_class=Response, include_in_schema=shown)
    async def generate_content(request: Request, model: str, idempotency_key: IdempotencyKey = None) -> Response:
        """Draw what the last turn of a talk describes, over the newest image in it where there is one."""
        job, asked = await _drawn(service, model, request, of_talk, idempotency_key)
        return await answers.candidates(service, job, asked)

    path = f"{prefix}/models/{{model:path}}:streamGenerateContent"

    @routes.post(path, response_class=Response, include_in_schema=shown)
    async def stream_generate_content(
        request: Request, model: str, alt: Annotated[str, Query()] = "json", idempotency_key: IdempotencyKey = None
    ) -> Response:
        """The same for clients that read streams: an image comes in one piece."""
        job, asked = await _drawn(service, model, request, of_talk, idempotency_key)
        return await answers.candidates(service, job, asked, "sse" if alt == "sse" else "list")


def _add_listing(routes: APIRouter, service: Service) -> None:
    @routes.get(f"{VERSION}/models")
    async def models() -> listing.ModelList:
        """The models that can draw now."""
        return listing.ModelList(models=[listing.listed(each) for each in await service.look_for_models()])

    @routes.get(f"{VERSION}/models/{{model:path}}")
    async def one_model(model: str) -> listing.Listed:
        """One of them."""
        return listing.listed(await service.find_model(model))


async def _drawn(
    service: Service, name: str, request: Request, read: Callable[[bytes], Asked], key: str | None
) -> tuple[JobView, Asked]:
    """Draw what a body asks for, and answer the job that has ended and what was asked."""
    asked = read(await request.body())
    model = await _model_of(service, name, asked.warnings)
    job = await service.submit(
        model.id,
        asked.prompt,
        caller=service.caller_of(request),
        key=key,
        warnings=asked.warnings,
        dialect="gemini",
        **{**size_fields(model, asked.frame), **asked.fields},
    )
    try:
        return await service.wait(job.id, request), asked
    except VisionCraftError:
        request.state.gemini_drawn = bool((await service.job(job.id)).images)
        raise


async def _model_of(service: Service, name: str, warnings: list[str]) -> ModelInfo:
    """The model that is named, else the default one: these clients offer Google's names alone, and no way to others."""
    try:
        return await service.find_model(name)
    except ModelNotAvailable:
        model = await service.find_model(None)
        warnings.append(f"'{name[:64]}' is not a model here; {model.id} draws")
        return model

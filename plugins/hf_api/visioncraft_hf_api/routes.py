"""`POST /hf/{model}`: one image from a text, or drawn over another one, answered as the image itself."""

from __future__ import annotations

import asyncio

import mimeparse
from fastapi import APIRouter, Request, Response
from visioncraft import (
    IdempotencyKey,
    ImageRecord,
    ModelNotAvailable,
    Service,
    StorageError,
    converted,
    warnings_header,
)

from visioncraft_hf_api.asked import Asked, read

PREFIX = "/hf"
FORMATS = ("image/webp", "image/jpeg", "image/png")
"""What an image may be asked for as; the last of them where all are liked equally well and none is named."""


def router(service: Service) -> APIRouter:
    """The routes.

    Args:
        service: Draws.
    """
    routes = APIRouter(prefix=PREFIX)

    @routes.post("", response_class=Response)
    @routes.post("/{model:path}", response_class=Response)
    async def draw(request: Request, model: str = "", idempotency_key: IdempotencyKey = None) -> Response:
        """Draw an image and answer its bytes. Hanging up cancels the job, unless it has a key to come back with."""
        chosen = await _model_of(service, model.strip("/"))
        asked = read(await request.body(), request.headers.get("content-type", ""), _own_parameters(service))
        return await _drawn(service, chosen, asked, request, idempotency_key)

    return routes


async def _model_of(service: Service, name: str) -> str | None:
    """The id of the model that a path means: its own name, the hub's id of its weights, or the end of such an id.

    Raises:
        ModelNotAvailable: There is none.
    """
    if not name:
        return None
    for each in service.models():
        if each.source == name:
            return each.id
    try:
        return (await service.find_model(name)).id
    except ModelNotAvailable:
        owner, _, last = name.rpartition("/")
        if not owner:
            raise
    return (await service.find_model(last)).id


def _own_parameters(service: Service) -> frozenset[str]:
    """The names of parameters that models here declare."""
    return frozenset(each.name for model in service.models() for each in model.parameters)


async def _drawn(service: Service, model: str | None, asked: Asked, request: Request, key: str | None) -> Response:
    job = await service.submit(
        model,
        asked.prompt,
        caller=service.caller_of(request),
        key=key,
        warnings=asked.warnings,
        dialect="hf",
        **asked.fields,
    )
    job = await service.wait(job.id, request)
    png = await service.image(job.id)
    accept = ", ".join(request.headers.getlist("accept"))
    content, kind = await asyncio.to_thread(_as_accepted, png, job.images[0], accept)
    headers = {"X-Job-Id": job.id, "X-Image-Id": job.images[0].id, **warnings_header(job.warnings)}
    return Response(content, headers=headers, media_type=kind)


def _as_accepted(png: bytes, record: ImageRecord, accept: str) -> tuple[bytes, str]:
    """The image in the format that a client likes best, and that format; the PNG where it likes none of them."""
    kind = _liked(accept.lower())
    if kind == "image/png":
        return png, kind
    try:
        return converted(png, kind.removeprefix("image/"), record), kind
    except StorageError:  # too large for that format
        return png, "image/png"


def _liked(accept: str) -> str:
    """Of formats that are liked equally well the one named first: the client adds `image/png` behind its user's own."""
    by_mention = sorted(FORMATS, key=lambda kind: accept.find(kind) if kind in accept else len(accept), reverse=True)
    try:
        return mimeparse.best_match(by_mention, accept) or "image/png"
    except ValueError:  # a header that is none, or says nothing
        return "image/png"

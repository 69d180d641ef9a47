"""`/gallery` and `/images`: what was drawn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated, Any

import pybase64
from fastapi import APIRouter, Header, Query, Response

from visioncraft.api.deps import RuntimeDep
from visioncraft.api.openapi import responses
from visioncraft.api.schemas.gallery import GalleryAnswer, GalleryEntry
from visioncraft.contracts import ImageStore
from visioncraft.errors import NotFound, StorageError
from visioncraft.ids import is_image_id
from visioncraft.types import ImageRecord

log = logging.getLogger(__name__)
router = APIRouter(tags=["gallery"])

_IMMUTABLE = "private, max-age=31536000, immutable"  # a picture's bytes never change under its id
_LARGEST_OFFSET = 2**53


def _binary(media_type: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "The picture", "content": content}, 304: {"description": "The client has it already"}}


@router.get("/gallery", response_model_exclude_unset=True, responses=responses())
async def gallery(
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of images to return")] = 50,
    offset: Annotated[int, Query(ge=0, le=_LARGEST_OFFSET, description="Number of images to skip")] = 0,
    model: Annotated[str | None, Query(max_length=200, description="Filter by model used")] = None,
    image_data: Annotated[bool, Query(description="Whether each entry carries its picture as base64")] = True,
) -> GalleryAnswer:
    """The stored pictures, newest first."""
    store = runtime.registry.store
    page = await asyncio.to_thread(store.list, limit, offset, model)
    entries = await asyncio.to_thread(_with_data, store, page.items) if image_data else [entry(r) for r in page.items]
    return GalleryAnswer(images=entries, total_count=page.total, limit=limit, offset=offset)


@router.get("/images/{image_id}", response_class=Response, responses=responses(404) | _binary("image/png"))
async def image(image_id: str, runtime: RuntimeDep, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """The PNG itself, with its parameters inside: the same bytes as the file and as `/generate` answered."""
    return await _picture(runtime.registry.store, "open", image_id, "image/png", if_none_match)


@router.get("/images/{image_id}/thumbnail", response_class=Response, responses=responses(404) | _binary("image/webp"))
async def thumbnail(
    image_id: str, runtime: RuntimeDep, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """A WebP of at most 256 pixels a side."""
    return await _picture(runtime.registry.store, "thumbnail", image_id, "image/webp", if_none_match)


@router.delete("/images/{image_id}", status_code=204, responses=responses(404))
async def delete_image(image_id: str, runtime: RuntimeDep) -> None:
    """Remove a picture for good, its file and its thumbnail too."""
    await asyncio.to_thread(runtime.registry.store.delete, _checked(image_id))


def entry(record: ImageRecord) -> GalleryEntry:
    """A record as the gallery shows it, without the picture's data."""
    return GalleryEntry(
        id=record.id,
        filename=record.filename,
        prompt=record.prompt,
        negative_prompt=record.negative_prompt,
        model=record.model,
        seed=record.seed,
        generation_time=record.generation_time,
        vram_used=record.vram_used,
        width=record.width,
        height=record.height,
        created_at=record.created_at,
        url=f"/images/{record.id}",
        thumbnail_url=f"/images/{record.id}/thumbnail",
    )


def _with_data(store: ImageStore, records: Sequence[ImageRecord]) -> list[GalleryEntry]:
    return [_filled(store, entry(record)) for record in records]


def _filled(store: ImageStore, shown: GalleryEntry) -> GalleryEntry:
    try:
        shown.image_data = pybase64.b64encode(store.open(shown.id)).decode("ascii")
    except (NotFound, StorageError) as error:  # one file gone by hand must not take the page with it
        log.warning("%s: %s", shown.id, error.message)
    return shown


async def _picture(store: ImageStore, what: str, image_id: str, media_type: str, known: str | None) -> Response:
    """The bytes with an ETag; 304 where the client has them already."""
    headers = {"ETag": f'"{_checked(image_id)}-{what}"', "Cache-Control": _IMMUTABLE}
    if known is not None and (headers["ETag"] in known or known.strip() == "*"):
        await asyncio.to_thread(store.get, image_id)
        return Response(status_code=304, headers=headers)
    content = await asyncio.to_thread(getattr(store, what), image_id)
    return Response(content, headers=headers, media_type=media_type)


def _checked(image_id: str) -> str:
    if not is_image_id(image_id):
        raise NotFound("No such picture: the id is not one of this server's")
    return image_id

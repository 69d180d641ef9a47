"""`/gallery`: pages, searches and exports of what was drawn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated

import pybase64
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from visioncraft.api.deps import RuntimeDep
from visioncraft.api.openapi import binary, responses
from visioncraft.api.schemas.gallery import Filters, GalleryAnswer, GalleryEntry, GalleryPage
from visioncraft.contracts import ImageStore
from visioncraft.errors import NotFound, StorageError
from visioncraft.types import ImageRecord
from visioncraft.zipping import zipped

log = logging.getLogger(__name__)
router = APIRouter(tags=["gallery"])


@router.get("/gallery", response_model=GalleryAnswer, responses=responses())
async def gallery(runtime: RuntimeDep, page: Annotated[GalleryPage, Query()]) -> Response:
    """The stored pictures, newest first unless `sort` says otherwise; filters narrow them down together."""
    store = runtime.registry.store
    found = await asyncio.to_thread(store.list, page.limit, page.offset, page.query(), page.cursor)
    whole = await asyncio.to_thread(_with_data, store, found.items) if page.image_data else map(entry, found.items)
    answer = GalleryAnswer(
        images=list(whole),
        total_count=found.total,
        limit=page.limit,
        offset=page.offset,
        total_is_exact=found.exact,
        next_cursor=found.next_cursor,
    )
    # Written once: a model that is returned would be validated and walked over again.
    return Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")


@router.get("/gallery/export", response_class=Response, responses=responses() | binary("application/zip"))
async def export(runtime: RuntimeDep, chosen: Annotated[Filters, Query()]) -> Response:
    """All pictures that the filters find, as a zip that begins to arrive at once: files, and their marks as JSON."""
    headers = {"Content-Disposition": 'attachment; filename="visioncraft-gallery.zip"'}
    return StreamingResponse(zipped(runtime.registry.store, chosen.query()), 200, headers, "application/zip")


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
        generator=record.generator,
        tags=list(record.marks.tags),
        favourite=record.marks.favourite,
        rating=record.marks.rating,
        notes=record.marks.notes,
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

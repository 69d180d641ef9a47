"""`/gallery`: pages, searches and exports of what was drawn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from visioncraft.api.answers import entry
from visioncraft.api.deps import RuntimeDep
from visioncraft.api.needs import needs
from visioncraft.api.openapi import binary, responses
from visioncraft.api.schemas.fields import told
from visioncraft.api.schemas.gallery import Filters, GalleryAnswer, GalleryPage
from visioncraft.api.streaming import base64_of, gathered, warnings_header
from visioncraft.errors import NotFound, StorageError
from visioncraft.gallery.export import zip_stream
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.gallery import Page

log = logging.getLogger(__name__)
router = APIRouter(tags=["gallery"])


@router.get("/gallery", response_model=GalleryAnswer, responses=responses(), dependencies=[needs("gallery:read")])
async def gallery(runtime: RuntimeDep, page: Annotated[GalleryPage, Query()]) -> Response:
    """The stored pictures, newest first unless `sort` says otherwise; filters narrow them down together."""
    store = runtime.service.store
    found = await asyncio.to_thread(store.list, page.limit, page.offset, page.query(), page.cursor)
    pieces = gathered(_written(store, page, found))
    if page.image_data:
        return StreamingResponse(pieces, media_type="application/json")
    return Response(await asyncio.to_thread(b"".join, pieces), media_type="application/json")


@router.get(
    "/gallery/export",
    response_class=Response,
    responses=responses() | binary("application/zip"),
    dependencies=[needs("gallery:read")],
)
async def export(runtime: RuntimeDep, chosen: Annotated[Filters, Query()]) -> Response:
    """All pictures that the filters find, as a zip that begins to arrive at once: files, and their marks as JSON."""
    headers = {"Content-Disposition": 'attachment; filename="visioncraft-gallery.zip"'}
    headers |= warnings_header(chosen.warnings())
    return StreamingResponse(
        zip_stream(runtime.service.store, chosen.query(), in_parts=True), 200, headers, "application/zip"
    )


def _written(store: ImageStore, page: GalleryPage, found: Page) -> Iterator[bytes]:
    """The page as JSON, made while it is sent: at any moment a piece of one picture is in memory."""
    around = GalleryAnswer(
        images=[],
        total_count=found.total,
        limit=page.limit,
        offset=page.offset,
        total_is_exact=found.exact,
        next_cursor=found.next_cursor,
        **told(page),
    )
    for number, record in enumerate(found.items):
        yield b"," if number else b'{"images":['
        shown = entry(record).model_dump_json(exclude_unset=True).encode()
        picture = _picture(store, record.id) if page.image_data else None
        if picture is None:
            yield shown
        else:
            yield shown[:-1] + b',"image_data":"'
            yield from base64_of(picture)
            yield b'"}'
    head = b"]," if found.items else b'{"images":[],'
    yield head + around.model_dump_json(exclude={"images"}, exclude_unset=True).encode()[1:]


def _picture(store: ImageStore, image_id: str) -> BinaryIO | None:
    try:
        return store.reader(image_id)
    except (NotFound, StorageError) as error:  # one file gone by hand must not take the page with it
        log.warning("%s: %s", image_id, error.message)
        return None

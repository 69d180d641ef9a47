"""`/upload/image`, `/upload/mask`, `/view`, `/view_metadata`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, UploadFile
from visioncraft import InvalidRequest, NotFound, converted

from visioncraft_comfyui_api.desk import Desk
from visioncraft_comfyui_api.uploads import MOST_BYTES, Place, media_type

_FORMATS = ("webp", "jpeg")


def routes(desk: Desk) -> APIRouter:
    """These routes."""
    found = APIRouter()

    @found.post("/upload/image")
    async def upload_image(request: Request) -> dict[str, str]:
        """Keep an image for `LoadImage`."""
        async with request.form(max_files=1, max_fields=16) as form:
            return _told(await _kept(desk, form, desk.owner_of(request)))

    @found.post("/upload/mask")
    async def upload_mask(request: Request) -> dict[str, str]:
        """Keep an image whose transparency is the mask of an earlier one."""
        async with request.form(max_files=1, max_fields=16) as form:
            owner = desk.owner_of(request)
            return _told(await _kept(desk, form, owner, _original(form, owner)))

    @found.get("/view")
    async def view(request: Request) -> Response:
        """An image: drawn by a prompt, or uploaded."""
        asked = request.query_params
        name, folder, kind = asked.get("filename", ""), asked.get("subfolder", ""), asked.get("type") or "output"
        place = Place.checked(name, folder, kind, desk.owner_of(request))
        content = await desk.uploads.open(place)
        if content is not None:
            return Response(content, media_type=media_type(content) or "application/octet-stream")
        image_id = await desk.uploads.image_of(place)
        if image_id is None:
            raise NotFound(f"There is no image {place.name}")
        return await _drawn(desk, image_id, asked.get("preview", ""))

    @found.get("/view_metadata/{folder}")
    async def view_metadata(folder: str) -> Response:
        """Nothing is told of models' files."""
        raise NotFound(f"There is no metadata in {folder[:64]}")

    return found


async def _kept(desk: Desk, form: FormData, owner: str, mask_of: Place | None = None) -> Place:
    image = form.get("image")
    if not isinstance(image, UploadFile) or not image.filename:
        raise InvalidRequest.of("image", "a file, in the form's part `image`")
    name = image.filename.replace("\\", "/").rpartition("/")[2]
    place = Place.checked(name, _text(form, "subfolder"), _text(form, "type") or "input", owner)
    content = await image.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InvalidRequest.of("image", f"at most {MOST_BYTES} bytes")
    return await desk.uploads.keep(place, content, _text(form, "overwrite").lower() in ("true", "1"), mask_of)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _original(form: FormData, owner: str) -> Place:
    """The image that a mask belongs to."""
    try:
        named: Any = json.loads(_text(form, "original_ref"))
        name, folder, kind = (
            str(named["filename"]),
            str(named.get("subfolder") or ""),
            str(named.get("type") or "output"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        issue = "JSON as {filename, subfolder, type}, as an earlier upload answered it"
        raise InvalidRequest.of("original_ref", issue) from None
    return Place.checked(name, folder, kind, owner)


def _told(place: Place) -> dict[str, str]:
    return {"name": place.name, "subfolder": place.subfolder, "type": place.kind}


async def _drawn(desk: Desk, image_id: str, preview: str) -> Response:
    """An image of the gallery, as it is or in the format that is asked for: `webp;90`."""
    gallery = desk.service.store
    png = await asyncio.to_thread(gallery.open, image_id)
    form, _, quality = preview.partition(";")
    if form not in _FORMATS:
        return Response(png, media_type="image/png")
    record = await asyncio.to_thread(gallery.get, image_id)
    wanted = min(100, max(1, int(quality))) if quality.isascii() and quality.isdigit() and len(quality) < 4 else 90
    return Response(await asyncio.to_thread(converted, png, form, record, wanted), media_type=f"image/{form}")

"""`/images`: single pictures, and chosen ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from io import BytesIO
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from visioncraft.api.answers import entry, job_answer
from visioncraft.api.deps import RuntimeDep
from visioncraft.api.intake import submit
from visioncraft.api.links import link
from visioncraft.api.needs import needs
from visioncraft.api.openapi import binary, responses
from visioncraft.api.schemas.fields import told
from visioncraft.api.schemas.gallery import DeletedAnswer, MarkedEntry, MarksBody, RecordAnswer, SelectionBody
from visioncraft.api.schemas.generation import GenerateBody
from visioncraft.api.schemas.jobs import JobAnswer
from visioncraft.api.streaming import sent
from visioncraft.errors import InvalidRequest, NotFound, StorageError
from visioncraft.images.metadata import read_record
from visioncraft.jobs.requests import request_fields
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.ids import is_image_id

router = APIRouter(tags=["gallery"])

_IMMUTABLE = "private, max-age=31536000, immutable"  # only somebody who edits its file changes a picture's bytes


@router.get(
    "/images/{image_id}",
    response_class=Response,
    responses=responses(404) | binary("image/png"),
    dependencies=[needs("gallery:read")],
)
async def image(image_id: str, runtime: RuntimeDep, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """The PNG itself, with its parameters inside: the same bytes as the file and as `/generate` answered."""
    store = runtime.service.store
    if (elsewhere := await asyncio.to_thread(store.url, _checked(image_id))) is not None:
        return RedirectResponse(elsewhere, headers={"Cache-Control": "no-store"})  # the address dies soon
    return await _picture(store, "open", store.reader, image_id, "image/png", if_none_match)


@router.get(
    "/images/{image_id}/thumbnail",
    response_class=Response,
    responses=responses(404) | binary("image/webp"),
    dependencies=[needs("gallery:read")],
)
async def thumbnail(
    image_id: str, runtime: RuntimeDep, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """A WebP of at most 256 pixels a side."""
    store = runtime.service.store
    small = partial(_thumbnail, store)
    return await _picture(store, "thumbnail", small, image_id, "image/webp", if_none_match, runtime.thumbnails)


@router.get("/images/{image_id}/record", responses=responses(404), dependencies=[needs("gallery:read")])
async def record(image_id: str, runtime: RuntimeDep) -> RecordAnswer:
    """A picture's entry in the gallery, with all its parameters and facts."""
    found = await asyncio.to_thread(runtime.service.store.get, _checked(image_id))
    shown = entry(found).model_dump()
    return RecordAnswer(**shown, parameters=dict(found.parameters), facts=dict(found.facts))


@router.delete("/images/{image_id}", status_code=204, responses=responses(404), dependencies=[needs("gallery:write")])
async def delete_image(image_id: str, runtime: RuntimeDep) -> None:
    """Remove a picture for good, its file and its thumbnail too."""
    await asyncio.to_thread(runtime.service.store.delete, _checked(image_id))


@router.patch(
    "/images/{image_id}",
    response_model_exclude_unset=True,
    responses=responses(404),
    dependencies=[needs("gallery:write")],
)
async def mark_image(image_id: str, body: MarksBody, runtime: RuntimeDep) -> MarkedEntry:
    """Change a picture's tags, star, rating or notes. Its file stays as it is."""
    store = runtime.service.store
    record = await asyncio.to_thread(store.get, _checked(image_id))
    shown = entry(await asyncio.to_thread(store.mark, image_id, body.changed(record.marks)))
    return MarkedEntry(**shown.model_dump(exclude_unset=True), **told(body))


@router.post(
    "/images/{image_id}/replay", status_code=202, responses=responses(404, 429), dependencies=[needs("generate")]
)
async def replay_image(image_id: str, request: Request, response: Response, runtime: RuntimeDep) -> JobAnswer:
    """Draw a picture again from what stands inside its file: same model and version, same picture.

    Queues a job and answers at once, as `POST /jobs` does. Its `warnings` name what made a picture from another
    program and is not asked for again.
    """
    record = await asyncio.to_thread(_record_inside, runtime.service.store, _checked(image_id))
    job = await submit(_body(record), request, runtime, None, warnings=record.left_out)
    response.headers["Location"] = link(f"/jobs/{job.id}")
    return job_answer(runtime.service.view(job))


@router.post(
    "/images/delete", response_model_exclude_unset=True, responses=responses(), dependencies=[needs("gallery:write")]
)
async def delete_images(body: SelectionBody, runtime: RuntimeDep) -> DeletedAnswer:
    """Remove several pictures for good."""
    ids = list(dict.fromkeys(body.ids))
    there = [image_id for image_id in ids if is_image_id(image_id)]
    deleted = list(await asyncio.to_thread(runtime.service.store.delete_many, there))
    missing = [image_id for image_id in ids if image_id not in set(deleted)]
    return DeletedAnswer(deleted=deleted, not_found=missing, **told(body))


def _record_inside(store: ImageStore, image_id: str) -> ImageRecord:
    png = store.open(image_id)
    try:
        return read_record(png) or store.get(image_id)
    except StorageError as error:
        raise StorageError(f"Picture {image_id}: {error.message}; restore its file from a copy") from error


def _body(record: ImageRecord) -> GenerateBody:
    """What to ask for. Raises `InvalidRequest` where a picture from elsewhere does not say enough."""
    try:
        return GenerateBody.model_validate(request_fields(record))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = str(problem["loc"][0])
        raise InvalidRequest(
            f"Picture {record.id} cannot be drawn again",
            field=field,
            issue=f"its file says otherwise: {problem['msg']}",
        ) from error


def _thumbnail(store: ImageStore, image_id: str) -> BinaryIO:
    return BytesIO(store.thumbnail(image_id))


async def _picture(
    store: ImageStore,
    what: str,
    reader: Callable[[str], BinaryIO],
    image_id: str,
    media_type: str,
    known: str | None,
    threads: Executor | None = None,
) -> Response:
    """The bytes with an ETag; 304 where the client has them already.

    Args:
        threads: Where `reader` runs, where that takes longer than reading; None for everybody's.
    """
    version = await asyncio.to_thread(store.version, _checked(image_id))
    headers = {"ETag": f'"{image_id}-{what}{version}"', "Cache-Control": _IMMUTABLE}
    if known is not None and (headers["ETag"] in known or known.strip() == "*"):
        await asyncio.to_thread(store.get, image_id)
        return Response(status_code=304, headers=headers)
    content = await asyncio.get_running_loop().run_in_executor(threads, reader, image_id)
    return sent(content, headers, media_type)


def _checked(image_id: str) -> str:
    if not is_image_id(image_id):
        raise NotFound("No such picture: the id is not one of this server's")
    return image_id

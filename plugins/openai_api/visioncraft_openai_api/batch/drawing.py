"""A line's request, as the routes for images would have understood and answered it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request
from visioncraft import GalleryQuery, ImageRecord, InvalidRequest, JobState, JobView, NotFound, Service, StorageError

from visioncraft_openai_api.asked import Asked, Operation, understand
from visioncraft_openai_api.batch.batches import Batch
from visioncraft_openai_api.batch.files import Files
from visioncraft_openai_api.batch.lines import Line
from visioncraft_openai_api.routes import DIALECT, submitted

ENDPOINTS: Mapping[str, Operation] = {"/v1/images/generations": "generations", "/v1/images/edits": "edits"}
"""What batches may be for."""

PRIORITY = -100
"""Below everything that a client may ask for itself (-10 to 10)."""

IMAGE_PURPOSES = frozenset({"vision", "user_data"})
"""What files are sent for whose images requests may name by `file_id`."""

_LARGEST_IMAGE = 2**24  # bytes of a file that a request names
_PAGE = 100


async def understood(service: Service, files: Files, batch: Batch, body: Mapping[str, Any]) -> Asked:
    """What a line asks for.

    Args:
        service: Knows the models.
        files: Has the images that it names.
        batch: Whose line it is.
        body: The line's request.

    Raises:
        VisionCraftError: As the route would have.
    """
    sent = {name: await _found(files, name, value) for name, value in body.items()}
    return await understand(service, ENDPOINTS[batch.endpoint], sent)


async def begun(service: Service, batch: Batch, line: Line, asked: Asked) -> JobView:
    """The job that draws a line: a new one, or the one that an earlier server began.

    Args:
        service: Draws.
        batch: Whose line it is.
        line: The line.
        asked: What it asks for.

    Raises:
        VisionCraftError: As `service.submit`.
    """
    key = f"{batch.id}/{line.number}/{line.attempt}"
    return await submitted(service, asked, caller=batch.caller, key=key, priority=PRIORITY)


async def forgotten(service: Service, line: Line) -> JobView | None:
    """The job of a line that the server does not remember any more, by the images that it has left in the gallery.

    That is so where a server was killed between a job's end and its answer, and came back after `jobs.keep_ended_s`.

    Args:
        service: Has the gallery.
        line: A line that was sent.

    Returns:
        The job; None where there are no images of it.
    """
    if line.job is None or line.sent_at is None:
        return None
    since = datetime.fromtimestamp(line.sent_at, UTC) - timedelta(minutes=1)
    images = await asyncio.to_thread(_images_of, service, line.job, since)
    return _job_of(line.job, images) if images else None


def urls_of(service: Service, app: FastAPI, batch: Batch, lifetime_s: float) -> Callable[[str], str]:
    """What makes URLs of images for the sender of a batch, who is not there any more.

    Args:
        service: Signs them.
        app: The server.
        batch: Knows at which address its sender has reached the server.
        lifetime_s: How long they work.
    """
    scope = {"type": "http", "app": app, "scheme": "http", "path": "/", "headers": [(b"host", b"here")]}
    request = Request({**scope, "query_string": b"", "root_path": ""})

    def url_of(image_id: str) -> str:
        return batch.origin + _below_origin(service.image_url(request, image_id, lifetime_s))

    return url_of


def origin_of(service: Service, request: Request) -> str:
    """The address at which somebody has reached this server, with the path of a proxy before it.

    Args:
        service: Knows the proxy.
        request: Came that way.
    """
    url = service.image_url(request, "img")
    return url.removesuffix(_below_origin(url))


def _below_origin(url: str) -> str:
    return url[url.index("/images/") :]


async def _found(files: Files, name: str, value: Any) -> Any:
    """A field's value, with the bytes of files in place of their ids."""
    if name not in ("image", "images", "mask"):
        return value
    if isinstance(value, list):
        return [await _found(files, name, each) for each in value]
    if not (isinstance(value, Mapping) and isinstance(value.get("file_id"), str)):
        return value
    return await _content(files, name, value["file_id"])


async def _content(files: Files, name: str, file_id: str) -> bytes:
    try:
        file = await files.get(file_id)
        if file.purpose not in IMAGE_PURPOSES:
            raise InvalidRequest.of(name, f"{file.id} was sent for {file.purpose}; send an image for vision")
        if file.bytes > _LARGEST_IMAGE:
            raise InvalidRequest.of(name, f"{file.id} has {file.bytes} bytes; at most {_LARGEST_IMAGE}")
        return await asyncio.to_thread(files.path(file.id).read_bytes)
    except (NotFound, FileNotFoundError):
        raise InvalidRequest.of(name, f"there is no file {file_id[:64]}") from None
    except OSError as error:
        raise StorageError(f"{file_id} cannot be read: {error.strerror}") from error


def _images_of(service: Service, job: str, since: datetime) -> list[ImageRecord]:
    """The images of a job, in their order."""
    query, cursor = GalleryQuery(since=since, sort="oldest"), None
    found: list[ImageRecord] = []
    while True:
        page = service.store.list(_PAGE, query=query, cursor=cursor)
        found += [record for record in page.items if record.facts.get("job") == job]
        if (cursor := page.next_cursor) is None:
            return sorted(found, key=lambda record: record.id)


def _job_of(job: str, images: list[ImageRecord]) -> JobView:
    first = images[0]
    return JobView(
        id=job,
        state=JobState.SUCCEEDED,
        stage="succeeded",
        step=0,
        steps=0,
        position=0,
        eta_s=None,
        priority=PRIORITY,
        caller="",
        model=first.model,
        seed=first.seed,
        parameters=first.parameters,
        created_at=first.created_at,
        images=tuple(images),
        warnings=tuple(first.warnings),
        dialect=DIALECT,
    )

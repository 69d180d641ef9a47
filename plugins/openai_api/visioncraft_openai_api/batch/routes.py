"""The routes: files and batches."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import ValidationError
from visioncraft import InvalidRequest, NotFound, RateLimitExceeded, StorageUnavailable

from visioncraft_openai_api.batch.desk import Desk
from visioncraft_openai_api.batch.drawing import ENDPOINTS, IMAGE_PURPOSES, origin_of
from visioncraft_openai_api.batch.ids import new_batch_id, new_file_id
from visioncraft_openai_api.batch.owners import identity_written, owner_now
from visioncraft_openai_api.batch.runner import Runner
from visioncraft_openai_api.batch.schemas import BatchRequest, ExpiresAfter, Listed, listed
from visioncraft_openai_api.batch.uploads import Upload, received

_PURPOSES = ("batch", *sorted(IMAGE_PURPOSES))
_MOST_UNFINISHED = 100
_FORM = {
    "type": "object",
    "required": ["purpose", "file"],
    "properties": {
        "purpose": {"type": "string", "enum": list(_PURPOSES)},
        "file": {"type": "string", "format": "binary"},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer"},
    },
}
_TAKES_FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


def add_file_routes(routes: APIRouter, prefix: str, desk: Desk, most_bytes: int) -> None:
    """Files: send and list, and look, read and delete one.

    Args:
        routes: Get them.
        prefix: What is before their paths. The router has none, as it has no other path of that prefix.
        desk: Has the files.
        most_bytes: The largest file that may be sent.
    """

    @routes.post(prefix + "/files", openapi_extra=_TAKES_FORM)
    async def send_a_file(request: Request) -> dict[str, Any]:
        """Keep a file: requests of a batch, or an image that one of them starts from."""
        await _made_folders(desk)
        async with received(request, desk.files.arriving, most_bytes) as upload:
            purpose, lifetime_s = _purpose_and_life(upload, desk.keep_s)
            return (await desk.files.add(upload.path, purpose, upload.filename or "", lifetime_s)).document()

    @routes.get(prefix + "/files")
    async def list_files(
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
        purpose: str | None = None,
    ) -> Listed:
        """Files, the newest first."""
        found = await desk.files.page(after, limit + 1, order == "desc", purpose)
        return listed([file.document() for file in found], limit)

    _add_routes_of_one_file(routes, prefix + "/files/{file_id}", desk)


def _add_routes_of_one_file(routes: APIRouter, path: str, desk: Desk) -> None:
    @routes.get(path)
    async def look_at_a_file(file_id: str) -> dict[str, Any]:
        """What is known of a file."""
        return (await desk.files.get(file_id)).document()

    @routes.get(path + "/content", response_class=FileResponse)
    async def read_a_file(file_id: str) -> FileResponse:
        """A file's bytes."""
        file = await desk.files.get(file_id)
        content = desk.files.path(file.id)
        if not await asyncio.to_thread(content.is_file):
            raise NotFound(f"The bytes of '{file.id}' are gone")
        return FileResponse(content, media_type="application/octet-stream", filename=file.filename or file.id)

    @routes.delete(path)
    async def delete_a_file(file_id: str) -> dict[str, Any]:
        """Delete a file; a batch that reads it goes on."""
        await desk.files.delete(file_id)
        return {"id": file_id, "object": "file", "deleted": True}


def add_batch_routes(routes: APIRouter, prefix: str, desk: Desk, runner: Runner) -> None:
    """Batches: begin, list, look, cancel.

    Args:
        routes: Get them.
        prefix: What is before their paths. The router has none, as it has no other path of that prefix.
        desk: Has the batches.
        runner: Runs them.
    """

    @routes.post(prefix + "/batches")
    async def begin_a_batch(asked: BatchRequest, request: Request) -> dict[str, Any]:
        """Have the requests in a file drawn while nobody waits."""
        await _check(desk, asked)
        batch = await desk.batches.add(_facts(desk, asked, request))
        runner.begin(batch.id)
        return batch.document()

    @routes.get(prefix + "/batches")
    async def list_batches(after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Listed:
        """Batches, the newest first."""
        return listed([batch.document() for batch in await desk.batches.page(after, limit + 1)], limit)

    @routes.get(prefix + "/batches/{batch_id}")
    async def look_at_a_batch(batch_id: str) -> dict[str, Any]:
        """Where a batch stands."""
        return (await desk.batches.get(batch_id)).document()

    @routes.post(prefix + "/batches/{batch_id}/cancel")
    async def cancel_a_batch(batch_id: str) -> dict[str, Any]:
        """Have nothing further of a batch drawn: what is being drawn comes to its end."""
        return (await runner.cancel(batch_id)).document()


async def _made_folders(desk: Desk) -> None:
    try:
        await asyncio.to_thread(desk.files.make_folders)
    except OSError as error:
        raise StorageUnavailable(f"No file can be kept: {error.strerror}; see to the server's disk") from error


def _purpose_and_life(upload: Upload, keep_s: int) -> tuple[str, int]:
    """What a file was sent for, and for how long it is kept. Raises `InvalidRequest`."""
    if upload.filename is None:
        raise InvalidRequest.of("file", "required, but absent; send it as a file, with a name")
    purpose = upload.fields.get("purpose", "")
    if purpose not in _PURPOSES:
        raise InvalidRequest.of("purpose", f"one of: {', '.join(_PURPOSES)}")
    given = {name: upload.fields.get(f"expires_after[{name}]") for name in ("anchor", "seconds")}
    if not any(given.values()):
        return purpose, keep_s
    try:
        return purpose, ExpiresAfter.model_validate(given).seconds
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequest.of(f"expires_after[{first['loc'][0]}]", str(first["msg"])) from error


async def _check(desk: Desk, asked: BatchRequest) -> None:
    """Refuse what no batch can be made of. Raises `InvalidRequest`, `RateLimitExceeded`."""
    if asked.endpoint not in ENDPOINTS:
        raise InvalidRequest.of("endpoint", f"one of: {', '.join(ENDPOINTS)}")
    try:
        file = await desk.files.get(asked.input_file_id)
    except NotFound:
        raise InvalidRequest.of("input_file_id", "there is no such file; POST /v1/files first") from None
    if file.purpose != "batch":
        raise InvalidRequest.of("input_file_id", f"this file was sent for {file.purpose}; send it for batch")
    if len(await desk.batches.unfinished()) >= _MOST_UNFINISHED:
        raise RateLimitExceeded(f"{_MOST_UNFINISHED} batches go on already; wait for one to end", retry_after=60.0)


def _facts(desk: Desk, asked: BatchRequest, request: Request) -> dict[str, Any]:
    now = int(time.time())
    return {
        "id": new_batch_id(),
        "endpoint": asked.endpoint,
        "input_file_id": asked.input_file_id,
        "completion_window": asked.completion_window,
        "metadata": asked.metadata or {},
        "output_expires_s": asked.output_expires_after.seconds if asked.output_expires_after else None,
        "owner": owner_now(),
        "identity": identity_written(),
        "caller": desk.service.caller_of(request),
        "origin": origin_of(desk.service, request),
        "output_file_id": new_file_id(),
        "error_file_id": new_file_id(),
        "created_at": now,
        "expires_at": now + asked.window_s,
    }

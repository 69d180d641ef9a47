"""`stream: true`: unfinished images while they are drawn, then the finished ones, as Server-Sent Events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from io import BytesIO
from typing import Any

import orjson
from fastapi import Request
from visioncraft import JobEvent, JobView, Service, VisionCraftError, base64_of

from visioncraft_openai_api.answers import USAGE, encoded, facts
from visioncraft_openai_api.asked import Asked, Operation
from visioncraft_openai_api.errors import error_document

_QUIET_S = 10.0  # after which a comment keeps a connection open that proxies would end
_COMMENT = b": still here\n\n"
_NAMES = {"generations": "image_generation", "edits": "image_edit", "variations": "image_edit"}


async def stream(
    service: Service, job: JobView, asked: Asked, operation: Operation, request: Request
) -> AsyncIterator[bytes]:
    """Tell of a job until its end.

    Args:
        service: Has the job.
        job: The job.
        asked: What it was asked for with.
        operation: The route, after which events are named.
        request: Who watches: hanging up cancels the job, unless it has a key to come back with.

    Yields:
        Events as bytes.
    """
    outcome = asyncio.create_task(service.wait(job.id, request))  # goes on when this stream is abandoned, and cancels
    outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
    name = _NAMES[operation]
    try:
        async for partial in _partial_images(service, job.id, asked):
            yield partial if partial == _COMMENT else _event(f"{name}.partial_image", partial)
        async for finished in _finished(service, await outcome, asked):
            yield _event(f"{name}.completed", finished)
    except VisionCraftError as error:
        yield _event("error", orjson.dumps(error_document(error)))


def _event(name: str, data: bytes) -> bytes:
    """An event whose type stands in its data too, where the clients look for it."""
    if name != "error":
        data = orjson.dumps({"type": name})[:-1] + b"," + data[1:]
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


async def _partial_images(service: Service, job_id: str, asked: Asked) -> AsyncIterator[bytes]:
    """Unfinished images, as many as were asked for at most and spread over the steps; comments where it is quiet."""
    shown = 0
    async for event in _with_comments(service.watch(job_id)):
        if event is None:
            yield _COMMENT
        elif event.final:
            return
        elif event.preview is not None and _is_due(event, shown, asked.partial_images):
            yield orjson.dumps(_partial(event.preview, shown, asked))
            shown += 1


def _is_due(event: JobEvent, shown: int, most: int) -> bool:
    """Whether it is time for another one of `most`: after a third of the steps for the first of two."""
    return shown < most and event.step * (most + 1) >= (shown + 1) * event.steps


def _partial(preview: bytes, index: int, asked: Asked) -> dict[str, Any]:
    width, height = (int.from_bytes(preview[at : at + 4], "big") for at in (16, 20))  # where a PNG has them
    return {
        "partial_image_index": index,
        "b64_json": _base64(preview),
        "created_at": int(time.time()),
        "size": f"{width}x{height}",
        "quality": asked.form.quality,
        "background": "opaque",
        "output_format": "png",
    }


async def _finished(service: Service, job: JobView, asked: Asked) -> AsyncIterator[bytes]:
    """The finished images, one after the other: memory holds one of them."""
    for record in job.images:
        [file], form = await encoded(service.store, [record], asked.form)
        with file:
            content = await asyncio.to_thread(file.read)
        yield orjson.dumps(
            {
                "b64_json": _base64(content),
                "created_at": int(time.time()),
                **facts([record], form),
                "usage": USAGE,
                "id": record.id,
                "seed": record.seed,
                "model": job.model,
                **({"warnings": list(job.warnings)} if job.warnings else {}),
            }
        )


def _base64(content: bytes) -> str:
    return b"".join(base64_of(BytesIO(content))).decode("ascii")


async def _with_comments(events: AsyncIterator[JobEvent]) -> AsyncIterator[JobEvent | None]:
    """The same events, and None wherever none has come for a while."""
    coming: asyncio.Task[JobEvent] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({coming}, timeout=_QUIET_S)
            if not done:
                yield None
                continue
            event, coming = coming, None
            try:
                yield event.result()
            except StopAsyncIteration:
                return
    finally:
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming

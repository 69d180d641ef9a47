"""What `POST /generate` answers: the contract's JSON, or the picture itself where `Accept` says so (RFC 9110)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, BinaryIO

import mimeparse
import orjson
from fastapi import Response

from visioncraft.api.streaming import Part, sent, spliced, warnings_header
from visioncraft.errors import InvalidRequest, StorageError
from visioncraft.images.png import converted
from visioncraft.jobs.job import Job
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.gallery import ImageRecord

JSON = "application/json"
PICTURES = ("image/jpeg", "image/webp", "image/png")
"""What the picture itself may be asked for as. Only the PNG is the stored file, and loses nothing."""


def accepted(accept: str, several: bool) -> str:
    """The media type to answer with. What a client likes as well as JSON is answered as JSON.

    Args:
        accept: The `Accept` header; empty where there is none.
        several: Whether several pictures are asked for, which only JSON can hold.

    Raises:
        InvalidRequest: Several pictures, and JSON is not accepted.
    """
    liked = {kind: quality(kind, accept) for kind in (*PICTURES, JSON)}
    best = max(liked, key=lambda kind: (liked[kind], [*liked].index(kind)))
    if best == JSON or not liked[best]:
        return JSON
    if not several:
        return best
    if liked[JSON]:
        return JSON
    issue = f"one picture only with Accept: {best}; accept {JSON} for several"
    raise InvalidRequest.of("num_images", issue)


async def answer(job: Job, record: ImageRecord, png: bytes, kind: str, store: ImageStore) -> Response:
    """The answer to who waited for a job. Raises `NotFound` where one of its pictures is gone already."""
    headers = {"X-Job-Id": job.id, "X-Image-Id": record.id}
    if kind == JSON:
        several = job.request.num_images > 1
        others = [await asyncio.to_thread(store.reader, each.id) for each in job.records] if several else []
        return spliced([*_parts(job, record, png, others)], headers)
    picture, kind = await asyncio.to_thread(_picture, record, png, kind)
    return sent(BytesIO(picture), headers | warnings_header(job.warnings), kind)


def quality(kind: str, accept: str) -> float:
    """How much a client likes a media type, 0 to 1, as its `Accept` says; all of it where that says nothing."""
    try:
        return float(mimeparse.quality(kind, accept.lower())) if accept.strip() else 1.0
    except ValueError:  # a header that says nothing
        return 1.0


def _picture(record: ImageRecord, png: bytes, kind: str) -> tuple[bytes, str]:
    """The picture as `kind`, and what it is then: a format that cannot hold it gives way to the PNG."""
    if kind == "image/png":
        return png, kind
    try:
        return converted(png, kind.removeprefix("image/"), record), kind
    except StorageError:
        return png, "image/png"


def _parts(job: Job, record: ImageRecord, png: bytes, others: Sequence[BinaryIO]) -> Iterator[Part]:
    """The answer's JSON: all pictures in it where several were asked for."""
    rest: dict[str, Any] = {
        "generation_time": record.generation_time,
        "vram_used": record.vram_used,
        "model": record.model,
        "seed": record.seed,
        "parameters": record.parameters,
        **({"warnings": told} if (told := job.warnings) else {}),
    }
    yield from (b'{"image":"', BytesIO(png), b'",' + orjson.dumps(rest)[1:-1])
    for number, (each, picture) in enumerate(zip(job.records, others, strict=False)):  # no others, no list
        head = b",{" if number else b',"images":[{'
        yield from (head + orjson.dumps({"id": each.id, "seed": each.seed})[1:-1] + b',"image":"', picture, b'"}')
    yield b"]}" if others else b"}"

"""Answers with images in them, in base64 that no JSON encoder walks over."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Literal

import orjson
from fastapi import Response
from visioncraft import ImageRecord, JobView, Service, StorageError, converted, spliced, warnings_header

from visioncraft_gemini_api.asked import Asked

Framing = Literal["", "list", "sse"]
"""What is around the document: nothing, a list of one, or an event of a stream."""

_AROUND = {"": (b"", b""), "list": (b"[", b"]"), "sse": (b"data: ", b"\r\n\r\n")}
_USAGE = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}

Image = tuple[bytes, str]
"""Its bytes and its media type."""


async def predictions(service: Service, job: JobView, asked: Asked) -> Response:
    """The answer of `:predict`.

    Args:
        service: Has the images.
        job: Drew them.
        asked: What for.
    """
    parts: list[bytes | BytesIO] = []
    for content, kind in await _images(service, job, asked):
        head = orjson.dumps({"mimeType": kind, "bytesBase64Encoded": ""})[:-2]
        parts += [(b"," if parts else b'{"predictions":[') + head, BytesIO(content), b'"}']
    parts.append(b'],"model":' + orjson.dumps(job.model) + b"}")
    return spliced(parts, _headers(job))


async def candidates(service: Service, job: JobView, asked: Asked, framing: Framing = "") -> Response:
    """The answer of `:generateContent`: a candidate for each image, what is to be told of them behind the first.

    Args:
        service: Has the images.
        job: Drew them.
        asked: What for.
        framing: What is around it.
    """
    opening, closing = _AROUND[framing]
    parts: list[bytes | BytesIO] = [opening + b'{"candidates":[']
    for number, (content, kind) in enumerate(await _images(service, job, asked)):
        head = b'{"content":{"parts":[{"inlineData":' + orjson.dumps({"mimeType": kind, "data": ""})[:-2]
        told = b"".join(b',{"text":' + orjson.dumps(each) + b"}" for each in job.warnings if number == 0)
        tail = b'],"role":"model"},"finishReason":"STOP","index":%d}' % number
        parts += [(b"," if number else b"") + head, BytesIO(content), b'"}}' + told + tail]
    rest = {"usageMetadata": _USAGE, "modelVersion": job.model, "responseId": job.id}
    parts.append(b"]," + orjson.dumps(rest)[1:] + closing)
    answer = spliced(parts, _headers(job))
    if framing == "sse":
        answer.headers["Content-Type"] = "text/event-stream"
    return answer


async def _images(service: Service, job: JobView, asked: Asked) -> list[Image]:
    found = []
    for number, record in enumerate(job.images):
        png = await service.image(job.id, number)
        found.append(await asyncio.to_thread(_as_asked, png, record, asked))
    return found


def _as_asked(png: bytes, record: ImageRecord, asked: Asked) -> Image:
    if asked.media_type == "image/png":
        return png, asked.media_type
    try:
        return converted(png, asked.media_type.removeprefix("image/"), record, asked.quality), asked.media_type
    except StorageError:  # too large for that format
        return png, "image/png"


def _headers(job: JobView) -> dict[str, str]:
    return {"X-Job-Id": job.id, "X-Image-Id": job.images[0].id, **warnings_header(job.warnings)}

"""What the protocol answers: one document with the images inside, or with their URLs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO

import orjson
from visioncraft import ImageRecord, ImageStore, JobView, Service, StorageError, converted

from visioncraft_openai_api.asked import AnswerForm, Asked

Part = bytes | BinaryIO
"""Bytes of the document, or an image, which stands for its base64: see `visioncraft.spliced`."""

USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
    "output_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}
"""Nothing is counted here. Clients read it all the same, and some fail where it is absent."""


async def document_parts(
    service: Service, job: JobView, asked: Asked, url_of: Callable[[str], str] | None = None
) -> list[Part]:
    """The answer to a job that ended well.

    Args:
        service: Has the images.
        job: The job.
        asked: What it was asked for with.
        url_of: Makes the URL of an image, by its id, that whoever asks can reach; None puts the images into the
            document, whatever was asked for.

    Returns:
        The document's parts in their order.

    Raises:
        NotFound: An image was deleted since.
    """
    if asked.form.as_url and url_of is not None:
        urls = [url_of(record.id) for record in job.images]
        items = [{"url": url, **_item(record)} for url, record in zip(urls, job.images, strict=True)]
        return [orjson.dumps({**_head(job, AnswerForm(quality=asked.form.quality)), "data": items})]
    images, form = await encoded(service.store, job.images, asked.form)
    return list(_spliced(job, images, form))


async def encoded(
    store: ImageStore, records: Sequence[ImageRecord], form: AnswerForm
) -> tuple[list[BinaryIO], AnswerForm]:
    """The files of images in the format that was asked for.

    Args:
        store: Has them as PNG.
        records: Which ones.
        form: The format.

    Returns:
        Open files, and their format: PNG where the one asked for cannot hold an image that large.
    """
    try:
        return [await asyncio.to_thread(_file, store, record, form) for record in records], form
    except StorageError:
        form = replace(form, output_format="png")
        return [await asyncio.to_thread(_file, store, record, form) for record in records], form


def facts(records: Sequence[ImageRecord], form: AnswerForm) -> dict[str, Any]:
    """What answers and events tell of their images."""
    sizes = [f"{record.width}x{record.height}" for record in records[:1]]
    return {
        "background": "opaque",
        "output_format": form.output_format,
        "quality": form.quality,
        **({"size": sizes[0]} if sizes else {}),
    }


def _file(store: ImageStore, record: ImageRecord, form: AnswerForm) -> BinaryIO:
    if form.output_format == "png":
        file: BinaryIO = store.reader(record.id)
        return file
    return BytesIO(converted(store.open(record.id), form.output_format, record, form.compression))


def _head(job: JobView, form: AnswerForm) -> dict[str, Any]:
    created = job.ended_at or job.created_at
    return {
        "created": int(created.timestamp()),
        **facts(job.images, form),
        "usage": USAGE,
        "model": job.model,
        **({"warnings": list(job.warnings)} if job.warnings else {}),
    }


def _item(record: ImageRecord) -> dict[str, Any]:
    """What stands beside an image: what it takes to find it again and to draw it again."""
    return {"id": record.id, "seed": record.seed}


def _spliced(job: JobView, images: Sequence[BinaryIO], form: AnswerForm) -> Iterator[Part]:
    yield orjson.dumps(_head(job, form))[:-1] + b',"data":['
    for number, (record, image) in enumerate(zip(job.images, images, strict=True)):
        yield from ((b"," if number else b"") + b'{"b64_json":"', image, b'",' + orjson.dumps(_item(record))[1:])
    yield b"]}"

"""What a client sent, as one mapping of names to values: JSON whatever its Content-Type says, or a form."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import HTTPException, Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from visioncraft import InvalidRequest

_FORM = "multipart/form-data"
_MOST_FILES, _MOST_FIELDS = 32, 200
_IMAGES = ("image", "images")  # a form may have several of these


async def read_body(request: Request) -> Mapping[str, Any]:
    """Read a request's body.

    Args:
        request: A form where its Content-Type says so. Anything else is JSON: several clients send that under another
            name or under none.

    Returns:
        The fields; a form's files as bytes, its images as a list under `image`.

    Raises:
        InvalidRequest: It is neither.
    """
    sent_as = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await _form(request) if sent_as == _FORM else _json(await request.body())


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(f"not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise _unreadable('a JSON object, as {"prompt": "red apple"}')
    return document


async def _form(request: Request) -> Mapping[str, Any]:
    fields: dict[str, Any] = {}
    for sent_name, value in await _parsed(request):
        name = sent_name.removesuffix("[]")
        content = await value.read() if isinstance(value, UploadFile) else value
        if name in _IMAGES:
            fields.setdefault(name, []).append(content)
        elif content == b"":  # the file field of a page that nobody filled in
            continue
        elif name in fields:
            raise InvalidRequest.of(name[:64], "given more than once; send it once")
        else:
            fields[name] = content
    return fields


class _InMemory(MultiPartParser):
    """Files stay in memory, where the bound of a body is theirs: a full /tmp is no reason to fail."""

    spool_max_size = sys.maxsize


async def _parsed(request: Request) -> list[tuple[str, UploadFile | str]]:
    """A form's fields in their order. Raises `InvalidRequest` for what is no form."""
    parser = _InMemory(
        Headers(raw=request.scope["headers"]),
        request.stream(),
        max_files=_MOST_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=sys.maxsize,
    )
    try:
        return (await parser.parse()).multi_items()
    except MultiPartException as error:
        raise _unreadable(f"no form: {error.message.rstrip('.')}") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the client left before its end") from error


def _unreadable(issue: str) -> InvalidRequest:
    return InvalidRequest.of("body", issue)

"""Forms (`multipart/form-data`, RFC 7578) in place of JSON: `curl -F init_image=@apple.png`, pages without scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pybase64
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from visioncraft.api.schemas.fields import AFile
from visioncraft.errors import InvalidRequest
from visioncraft.types.parameters import read_value

FORM = "multipart/form-data"
_FILES, _FIELDS = 16, 200


class FormRoute(APIRoute):
    """A route that takes its JSON body as a form too.

    A file is its base64, `hires.scale` the field of a document inside, and what the body has as a number or a list is
    read as JSON. From there on both are one: the same checks, bounds and errors.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the reading of forms."""
        handle = super().get_route_handler()
        body = self.body_field.field_info.annotation if self.body_field else None

        async def handle_form(request: Request) -> Response:
            sent_as = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if sent_as != FORM or not (isinstance(body, type) and issubclass(body, BaseModel)):
                return await handle(request)
            return await handle(_Read(request, await _document(request, body)))

        return handle_form


class _Read(Request):
    """A request whose body was read: FastAPI finds the document where JSON's would be."""

    def __init__(self, request: Request, document: dict[str, Any]) -> None:
        scope = dict(request.scope)
        headers = MutableHeaders(raw=list(scope["headers"]))
        headers["content-type"] = "application/json"
        super().__init__({**scope, "headers": headers.raw}, request.receive)
        self._document = document

    async def body(self) -> bytes:
        return b"{}"  # any that is not empty: FastAPI asks for `json` then

    async def json(self) -> Any:
        return self._document


class _InMemory(MultiPartParser):
    """Files stay in memory, where the bound of a body is theirs: a full disk under /tmp is no reason to fail."""

    spool_max_size = sys.maxsize


async def _document(request: Request, model: type[BaseModel]) -> dict[str, Any]:
    """A form as JSON would have said it. Raises `InvalidRequest`, `HTTPException` for what is no form."""
    try:
        parser = _InMemory(
            Headers(raw=request.scope["headers"]),
            request.stream(),
            max_files=_FILES,
            max_fields=_FIELDS,
            max_part_size=sys.maxsize,
        )
        form = await parser.parse()
    except MultiPartException as error:
        issue = f"no form: {error.message.rstrip('.')}; or send a JSON object with Content-Type: application/json"
        raise HTTPException(400, issue) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the client left before its end") from error
    document: dict[str, Any] = {}
    for name, value in form.multi_items():
        field, inner = _known(model, name)
        home, key = document, name
        if inner:
            key = name.partition(".")[2]
            home = document.setdefault(name.partition(".")[0], {})
        if not isinstance(home, dict) or key in home:
            raise _invalid(name, "given more than once; send each field once")
        read = await _file(name, field, value) if isinstance(value, UploadFile) else _text(name, field, value)
        for each in read:
            home[key] = each
    await form.close()
    return document


def _known(model: type[BaseModel], name: str) -> tuple[FieldInfo | None, bool]:
    """A field, None for one that is none, and whether it stands in a document inside: `hires.scale`."""
    outer, dot, inner = name.partition(".")
    field = model.model_fields.get(outer)
    if field is None or not dot:
        return field, False
    documents = [each for each in _kinds(field) if isinstance(each, type) and issubclass(each, BaseModel)]
    return (documents[0].model_fields.get(inner) if documents else None), bool(documents)


def _kinds(field: FieldInfo) -> list[Any]:
    """What a field may hold, and what its types are marked with: `Picture | None` is a string, `AFile` and None."""
    found: list[Any] = [*field.metadata]
    waiting = [field.annotation]
    while waiting:
        each = waiting.pop()
        inside = get_args(each) if get_origin(each) in (Annotated, Union, UnionType) else ()
        waiting += inside
        found += [] if inside else [each]
    return found


async def _file(name: str, field: FieldInfo | None, value: UploadFile) -> list[Any]:
    """A file as base64; nothing for the file field of a page that nobody filled in."""
    if not value.filename and not value.size:
        return []
    if field is not None and not any(isinstance(each, AFile) for each in _kinds(field)):
        raise _invalid(name, f"takes no file; send it as an ordinary field (curl: -F '{name}=<file')")
    return [pybase64.b64encode(await value.read()).decode("ascii")]


def _text(name: str, field: FieldInfo | None, value: str) -> Iterator[Any]:
    """A field's text as JSON would have said it; nothing for one that a page's form left empty."""
    if value == "" and name != "prompt":
        return
    if field is None:  # perhaps a parameter that the model declares
        yield read_value(value)
        return
    if str in _kinds(field):
        yield value
        return
    try:
        yield json.loads(value)
    except (ValueError, RecursionError):  # refused as such a text is in JSON
        yield value


def _invalid(name: str, issue: str) -> InvalidRequest:
    return InvalidRequest.of(name[:64], issue)

"""A form with a file in it, which goes to disk while it comes: memory holds a piece of it, however large it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from fastapi import HTTPException, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from visioncraft import InvalidRequest, StorageUnavailable

_PIECE = 2**20  # bytes that are worth a way through another thread
_MOST_FIELD_BYTES, _MOST_FIELDS = 4096, 32
_LONGEST_NAME = 255


@dataclass(slots=True)
class Upload:
    """What a form said.

    Args:
        path: Where its file is, whole and on disk.
        filename: What its sender calls it; None where there was no file.
        fields: The other fields, as text.
    """

    path: Path
    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def received(request: Request, folder: Path, most_bytes: int) -> AsyncIterator[Upload]:
    """Receive a form.

    Args:
        request: Brings it.
        folder: Where its file goes. What is still there when the block ends is removed.
        most_bytes: The largest file.

    Yields:
        What the form said.

    Raises:
        InvalidRequest: It is no form, or its file is too large.
        StorageUnavailable: The file cannot be written.
    """
    boundary = _boundary(request)
    try:
        descriptor, name = await asyncio.to_thread(mkstemp, dir=folder)  # for this user alone
    except OSError as error:
        raise _unwritable(error) from error
    file, upload = os.fdopen(descriptor, "w+b"), Upload(Path(name))
    try:
        form = _Form(boundary, file, upload, most_bytes)
        await _read(request, form)
        await asyncio.to_thread(form.end)
        yield upload
    finally:
        await asyncio.to_thread(_put_away, file, upload.path)


async def _read(request: Request, form: _Form) -> None:
    waiting = bytearray()
    try:
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _PIECE:
                await asyncio.to_thread(form.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(form.write, bytes(waiting))
    except ClientDisconnect as error:
        raise HTTPException(400, "the client left before its end") from error


class _Form:
    """A form while it comes. Its methods are called in threads, one after the other.

    Args:
        boundary: What stands between its parts.
        file: Takes the file.
        upload: Is told the rest.
        most_bytes: The largest file.
    """

    def __init__(self, boundary: bytes, file: BinaryIO, upload: Upload, most_bytes: int) -> None:
        self._file, self._upload, self._most = file, upload, most_bytes
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._take,
                "on_part_end": self._end_part,
                "on_end": self._end_form,
            },
        )
        self._whole = False
        self._begin()

    def write(self, data: bytes) -> None:
        """Go on with further bytes. Raises as `received`."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _no_form(str(error)) from error
        except OSError as error:
            raise _unwritable(error) from error

    def end(self) -> None:
        """The client has sent all. Raises as `received`."""
        if not self._whole:
            raise _no_form("its end is missing")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(error) from error

    def _begin(self) -> None:
        self._header, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._name, self._is_file, self._disposition = "", False, b""

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""))
        self._is_file = self._name == "file" and b"filename" in options
        if self._is_file:
            if self._upload.filename is not None:
                raise InvalidRequest.of("file", "given more than once; send one file at a time")
            self._upload.filename = _text(options[b"filename"])[:_LONGEST_NAME]

    def _take(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._content += data[start:end]
            if len(self._content) > _MOST_FIELD_BYTES:
                raise InvalidRequest.of(self._name[:64], f"at most {_MOST_FIELD_BYTES} bytes")
            return
        self._file.write(memoryview(data)[start:end])
        if self._file.tell() > self._most:
            raise InvalidRequest.of("file", f"at most {self._most} bytes")

    def _end_part(self) -> None:
        if self._is_file:
            return
        self._upload.fields[self._name] = _text(bytes(self._content))
        if len(self._upload.fields) > _MOST_FIELDS:
            raise InvalidRequest.of("body", f"at most {_MOST_FIELDS} fields")

    def _end_form(self) -> None:
        self._whole = True


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _LONGEST_NAME:
        raise _no_form("send multipart/form-data with the fields purpose and file")
    return boundary


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _put_away(file: BinaryIO, path: Path) -> None:
    try:
        file.close()
    finally:
        path.unlink(missing_ok=True)


def _no_form(issue: str) -> InvalidRequest:
    return InvalidRequest.of("body", f"no form: {issue}")


def _unwritable(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"The file cannot be kept: {error.strerror or error}; see to the server's disk")

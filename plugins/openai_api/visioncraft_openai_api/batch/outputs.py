"""What a batch writes: a line of JSON for each request, in one file those that were drawn, in another the others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from visioncraft import base64_of

from visioncraft_openai_api.batch.ids import new_answer_id
from visioncraft_openai_api.batch.lines import BadLine, Line

Part = bytes | BinaryIO
"""Bytes as they are, or an image, which stands for its base64."""


def append(path: Path, size: int, parts: Iterable[Part]) -> int:
    """Write at the end of a file, and bring it to disk.

    Args:
        path: The file; it is made, for this user alone, where it is not there.
        size: How long it is by the database. What a killed server wrote past that is overwritten.
        parts: What to write.

    Returns:
        How long it is now.

    Raises:
        OSError: The disk takes nothing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.truncate(size)
        file.seek(size)
        for piece in _pieces(parts):
            file.write(piece)
        file.flush()
        os.fsync(descriptor)
        return file.tell()


def answer(line: Line, status: int, request_id: str, body: Sequence[Part]) -> list[Part]:
    """What stands in a file of a request that was answered.

    Args:
        line: The request.
        status: The status that it would have been answered with.
        request_id: The job that it was; empty where it never became one.
        body: The document that it would have been answered with.
    """
    answer_id = new_answer_id()
    head = orjson.dumps({"id": answer_id, "custom_id": line.custom_id})[:-1]
    told = orjson.dumps({"status_code": status, "request_id": request_id or answer_id})[:-1]
    return [head + b',"response":' + told + b',"body":', *body, b'},"error":null}\n']


def no_answer(custom_id: str | None, code: str, message: str, **facts: Any) -> bytes:
    """What stands in the error file of a line that was never asked for.

    Args:
        custom_id: What its sender calls it, as far as that can be read.
        code: Why, for programs.
        message: Why, for people.
        facts: Further facts.
    """
    error = {"code": code, "message": message, **facts}
    document = {"id": new_answer_id(), "custom_id": custom_id, "response": None, "error": error}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def of_bad_line(line: BadLine) -> bytes:
    """What stands in the error file of a line that is no request.

    Args:
        line: What is wrong with it.
    """
    return no_answer(line.custom_id, line.code, line.message, param=line.param, line=line.number)


def _pieces(parts: Iterable[Part]) -> Iterator[bytes]:
    for part in parts:
        yield from [part] if isinstance(part, bytes) else base64_of(part)

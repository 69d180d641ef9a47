"""The lines of a batch's file: one request each, and what is wrong with those that are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

MOST_LINES = 50_000
"""Requests in one file, as many as OpenAI's own takes."""

_LONGEST_LINE = 64 * 2**20
_LONGEST_ID = 512
_LONGEST_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Line:
    """A request in a batch's file.

    Args:
        number: Its line, 1 being the first.
        custom_id: What its sender calls it.
        model: The model that it names; empty for none.
        offset: Where it begins in the file.
        bytes: How long it is.
        attempt: How often it was sent and put back.
        job: The job that draws it, where it was sent.
        sent_at: When that was, in seconds since 1970.
    """

    number: int
    custom_id: str
    model: str
    offset: int
    bytes: int
    attempt: int = 0
    job: str | None = None
    sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no request.

    Args:
        number: Which line.
        custom_id: What its sender calls it, as far as that can be read.
        code: What is wrong, for programs.
        message: What is wrong and what would be right, for people.
        param: The field at fault.
    """

    number: int
    custom_id: str | None
    code: str
    message: str
    param: str | None = None

    def document(self) -> dict[str, object]:
        """The line as a batch's `errors` tell of it."""
        return {"code": self.code, "line": self.number, "message": self.message, "param": self.param}


class _Wrong(Exception):
    """A line is no request; says why, as `BadLine` does."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def read_lines(path: Path, endpoint: str) -> Iterator[Line | BadLine]:
    """Go through a file's lines. Empty ones count, and are passed over.

    Args:
        path: The file.
        endpoint: What all requests have to be for.

    Yields:
        Each line, or what is wrong with it.

    Raises:
        OSError: The file cannot be read.
    """
    seen: set[str] = set()
    number, offset = 0, 0
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if not line.endswith(b"\n") and len(line) > _LONGEST_LINE:
                yield BadLine(number, None, "line_too_long", f"at most {_LONGEST_LINE} bytes; no later line is read")
                return
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield _checked(number, offset + len(line) - len(text), text, endpoint, seen)
            offset += len(line)


def read_body(path: Path, line: Line) -> dict[str, Any]:
    """The request of a line that was found to be one.

    Args:
        path: The file.
        line: Where it stands.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(line.offset)
        body: dict[str, Any] = orjson.loads(file.read(line.bytes))["body"]
    return body


def _checked(number: int, offset: int, text: bytes, endpoint: str, seen: set[str]) -> Line | BadLine:
    custom_id: str | None = None
    try:
        request = _parsed(text)
        custom_id = _custom_id(request)
        if custom_id in seen:
            raise _Wrong("duplicate_custom_id", "an earlier line has this custom_id; each needs its own", "custom_id")
        seen.add(custom_id)
        return Line(number, custom_id, _model(request, endpoint), offset, len(text))
    except _Wrong as wrong:
        return BadLine(number, custom_id, wrong.code, wrong.message, wrong.param)


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _Wrong("invalid_json_line", f"This line is not parseable as valid JSON: {error}") from None
    if not isinstance(request, dict):
        raise _Wrong("invalid_json_line", "This line is no JSON object")
    return request


def _custom_id(request: dict[str, Any]) -> str:
    custom_id = request.get("custom_id")
    if custom_id is None:
        raise _Wrong("missing_required_parameter", "custom_id is required, but absent", "custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= _LONGEST_ID:
        raise _Wrong("invalid_custom_id", f"custom_id: a text of 1 to {_LONGEST_ID} characters", "custom_id")
    return custom_id


def _model(request: dict[str, Any], endpoint: str) -> str:
    """The model that a request names, the rest of it being right."""
    if request.get("method", "POST") != "POST":
        raise _Wrong("invalid_method", f"method: POST, not {_shown(request['method'])}", "method")
    if request.get("url") != endpoint:
        said = f"url: {endpoint}, which the batch is for, not {_shown(request.get('url'))}"
        raise _Wrong("invalid_url", said, "url")
    body = request.get("body")
    if not isinstance(body, dict):
        raise _Wrong("missing_required_parameter", "body: a JSON object with the request's fields", "body")
    model = body.get("model")
    return model[:_LONGEST_ID] if isinstance(model, str) else ""


def _shown(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"

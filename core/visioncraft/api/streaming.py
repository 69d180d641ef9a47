"""Answers with pictures in them, sent piece by piece: memory holds a piece for each reader, however slow it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import SEEK_END
from typing import BinaryIO

import pybase64
from fastapi import Response
from fastapi.responses import StreamingResponse

PIECE = 192 * 2**10
"""Bytes of a picture at a time. A multiple of three, so that the base64 of its pieces is the base64 of the whole."""

_AT_ONCE = 2**20  # bytes of an answer that are not worth a way through another thread
_WORTH_SENDING = 2**16
_LONGEST_HEADER = 2000  # characters; proxies take 4 to 8 KB of headers in all

Part = bytes | BinaryIO
"""What an answer consists of: bytes as they are, or a picture, which stands for its base64."""


def base64_of(picture: BinaryIO) -> Iterator[bytes]:
    """A picture's base64, piece by piece; the file is closed at the end.

    .. versionadded:: 1.1
    """
    with picture:
        while piece := picture.read(PIECE):
            yield pybase64.b64encode(piece)


def spliced(parts: Sequence[Part], headers: Mapping[str, str]) -> Response:
    """JSON with pictures spliced in: no encoder ever walks over them.

    Args:
        parts: The document's bytes in their order; an open file between them stands for its base64.
        headers: Of the answer.

    Returns:
        An answer that holds one piece of a large document at a time.

    .. versionadded:: 1.1
    """
    length = sum(len(part) if isinstance(part, bytes) else -(-size_of(part) // 3) * 4 for part in parts)
    pieces = (piece for part in parts for piece in ([part] if isinstance(part, bytes) else base64_of(part)))
    return _answer(pieces, length, headers, "application/json")


def sent(picture: BinaryIO, headers: Mapping[str, str], media_type: str) -> Response:
    """A picture as it is."""
    return _answer(_pieces(picture), size_of(picture), headers, media_type)


def warnings_header(told: Sequence[str]) -> dict[str, str]:
    """Warnings beside an answer that is no JSON: a JSON array in ASCII, of as many sentences as a header holds.

    .. versionadded:: 1.1
    """
    kept = list(told)
    while len(said := json.dumps(kept)) > _LONGEST_HEADER:
        kept.pop()
    return {"X-Warnings": said} if kept else {}


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces: each one sent is a way through a thread and the event loop."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= _WORTH_SENDING:
            yield bytes(waiting)
            waiting = bytearray()
    if waiting:
        yield bytes(waiting)


def size_of(picture: BinaryIO) -> int:
    """Bytes of a file that is at its beginning, and stays there."""
    size = picture.seek(0, SEEK_END)
    picture.seek(0)
    return size


def _pieces(picture: BinaryIO) -> Iterator[bytes]:
    with picture:
        while piece := picture.read(PIECE):
            yield piece


def _answer(pieces: Iterator[bytes], length: int, headers: Mapping[str, str], media_type: str) -> Response:
    if length <= _AT_ONCE:
        return Response(b"".join(pieces), 200, headers, media_type)
    return StreamingResponse(gathered(pieces), 200, {**headers, "Content-Length": str(length)}, media_type)

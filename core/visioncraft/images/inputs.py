"""Pictures at the door: what a client sent becomes an `InputImage`, or is refused by its field.

Nobody behind the door decodes anything foreign: what passes is RGB, upright, of the right size, and encoded anew. A
server has that done by `decoding`; `look` and `prepare` do it where they are called.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from visioncraft.errors import InvalidRequest
from visioncraft.images.pixels import NoPicture, TooMuch, Use, fitted, upright_size
from visioncraft.images.png import encode_png
from visioncraft.types.editing import Fit, FittedImage, InputImage, Mask, MaskReading

MAX_BYTES = 32 * 2**20
"""The largest file that is taken, in bytes; `server.max_body_bytes` usually ends sooner."""

MAX_TEXT = MAX_BYTES * 4 // 3 + 256
"""The longest base64 of it, in characters, with a data URL's head."""

MAX_EDGE = 256
"""How far the edge of a mask may be moved or softened, in pixels."""

_DATA_URL = re.compile(r"data:(image/[\w.+-]+)?(;[\w-]+=[\w-]+)*;base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that a client sent. Nobody has looked into it.

    Args:
        field: Where it was sent, for errors.
        data: The file.
        reading: How a mask is read, where white is not simply what is drawn anew.
        fit: How it comes to its size.
    """

    field: str
    data: bytes
    reading: MaskReading | None = None
    fit: Fit = "stretch"

    def as_image(self, width: int, height: int, png: bytes) -> InputImage:
        """What it has become."""
        return InputImage(hashlib.sha256(self.data).hexdigest(), width, height, png)

    def refused(self, why: NoPicture) -> InvalidRequest:
        """What to raise where it is not used."""
        return InvalidRequest.of(self.field, f"{why}; send a smaller picture" if isinstance(why, TooMuch) else str(why))


def read(field: str, sent: str | bytes | FittedImage | Mask) -> Sent:
    """Take a picture: base64, a `data:` URL, or the file itself. Raises `InvalidRequest` that names the field."""
    if isinstance(sent, Mask):
        return replace(read(field, sent.image), reading=_checked(field, sent.reading))
    if isinstance(sent, FittedImage):
        return replace(read(field, sent.image), fit=sent.fit)
    data = sent if isinstance(sent, bytes) else _decoded(field, sent)
    if len(data) > MAX_BYTES:
        raise InvalidRequest.of(field, f"at most {MAX_BYTES} bytes")
    return Sent(field, data)


def look(sent: Sent) -> tuple[int, int]:
    """Width and height, upright. Raises `InvalidRequest` for what is no picture, or one past the bounds."""
    with _usable(sent):
        return upright_size(sent.data)


def prepare(sent: Sent, width: int, height: int, use: Use = "picture", *, grey: bool = False) -> InputImage:
    """The picture at the size it is used at. Raises as `look` does, and for a damaged one.

    Args:
        use: What for.
        grey: For a mask, whatever `use` says.
    """
    import numpy as np

    use = "mask" if grey else use
    with _usable(sent):
        pixels = np.asarray(fitted(sent.data, width, height, use, sent.reading, sent.fit))
        return sent.as_image(width, height, encode_png(pixels))


def _checked(field: str, reading: MaskReading) -> MaskReading:
    for name in ("grow", "blur"):
        if not 0 <= getattr(reading, name) <= MAX_EDGE:
            raise InvalidRequest.of(field, f"its {name} is 0 to {MAX_EDGE} pixels")
    return reading


def _decoded(field: str, text: str) -> bytes:
    import pybase64

    if text.startswith("sha256:"):
        raise InvalidRequest.of(field, "this picture was drawn from one that is not kept; send that one again")
    head = _DATA_URL.match(text)
    if text[:5].lower() == "data:" and head is None:
        raise InvalidRequest.of(field, "a data URL of a picture begins data:image/png;base64,")
    body = text[head.end() :] if head else text
    try:
        return pybase64.b64decode("".join(body.split()), validate=True)
    except ValueError as error:
        raise InvalidRequest.of(field, "base64 of a PNG, JPEG or WebP picture, or a data: URL of one") from error


@contextmanager
def _usable(sent: Sent) -> Iterator[None]:
    try:
        yield
    except NoPicture as error:
        raise sent.refused(error) from error

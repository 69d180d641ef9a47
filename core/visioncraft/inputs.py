"""Pictures at the door: what a client sent becomes an `InputImage`, or is refused by its field.

Nobody behind the door decodes anything foreign: what passes is RGB, upright, of the right size, and encoded anew.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from visioncraft.editing import InputImage
from visioncraft.errors import InvalidRequest
from visioncraft.images import MAX_PIXELS, encode_png

MAX_BYTES = 32 * 2**20
"""The largest file that is taken, in bytes; `server.max_body_bytes` usually ends sooner."""

MAX_TEXT = MAX_BYTES * 4 // 3 + 256
"""The longest base64 of it, in characters, with a data URL's head."""

_FORMATS = ("PNG", "JPEG", "WEBP")
_DATA_URL = re.compile(r"data:(image/[\w.+-]+)?(;[\w-]+=[\w-]+)*;base64,", re.IGNORECASE)
_ORIENTATION, _TURNED = 0x0112, 5  # EXIF tag; from 5 on width and height change places (Exif 2.32, 4.6.4)
_decoding = threading.Semaphore(2)  # a picture of MAX_PIXELS takes 200 MB while it is decoded


@dataclass(frozen=True, slots=True)
class Sent:
    """A file whose head was read.

    Parameters
    ----------
    field: Where it was sent, for errors.
    data: The file.
    size: Width and height, upright.
    """

    field: str
    data: bytes
    size: tuple[int, int]


def read(field: str, sent: str | bytes) -> Sent:
    """Look at a picture: base64, a `data:` URL, or the file itself. Raises `InvalidRequest` that names the field."""
    from PIL import Image

    data = sent if isinstance(sent, bytes) else _decoded(field, sent)
    if len(data) > MAX_BYTES:
        raise _refused(field, f"at most {MAX_BYTES} bytes")
    with _readable(field), Image.open(BytesIO(data), formats=_FORMATS) as picture:
        width, height = picture.size
        turned = picture.getexif().get(_ORIENTATION, 1) >= _TURNED
    if width * height > MAX_PIXELS:
        raise _refused(field, f"{width}x{height} is more than {MAX_PIXELS} pixels; send a smaller picture")
    return Sent(field, data, (height, width) if turned else (width, height))


def prepare(sent: Sent, width: int, height: int, grey: bool = False) -> InputImage:
    """The picture at the size it is used at; transparency is dropped, colour too where `grey`.

    Raises `InvalidRequest` for a damaged file.
    """
    import numpy as np
    from PIL import Image, ImageOps

    with _decoding, _readable(sent.field), Image.open(BytesIO(sent.data), formats=_FORMATS) as opened:
        upright = ImageOps.exif_transpose(opened)
        picture = (upright.convert("L") if grey else upright).convert("RGB")
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        png = encode_png(np.asarray(picture, dtype=np.uint8))
    return InputImage(hashlib.sha256(sent.data).hexdigest(), width, height, png)


def _decoded(field: str, text: str) -> bytes:
    import pybase64

    if text.startswith("sha256:"):
        raise _refused(field, "this picture was drawn from one that is not kept; send that one again")
    head = _DATA_URL.match(text)
    if text[:5].lower() == "data:" and head is None:
        raise _refused(field, "a data URL of a picture begins data:image/png;base64,")
    body = text[head.end() :] if head else text
    try:
        return pybase64.b64decode("".join(body.split()), validate=True)
    except ValueError as error:
        raise _refused(field, "base64 of a PNG, JPEG or WebP picture, or a data: URL of one") from error


@contextmanager
def _readable(field: str) -> Iterator[None]:
    """Pillow's many ways to dislike a file become one."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        yield
    except (OSError, SyntaxError, ValueError, ZeroDivisionError, *bombs) as error:
        raise _refused(field, f"not a readable {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} picture") from error


def _refused(field: str, issue: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid {field} provided", field=field, issue=issue)

"""A picture's file from elsewhere: its text, whatever holds it, and the same pixels as PNG."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image
from visioncraft import StorageError, encode_png

from visioncraft_gallery_fs.foreign import a1111, comfyui, invokeai
from visioncraft_gallery_fs.foreign.found import Found

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_READERS = (invokeai.read, comfyui.read, a1111.read)  # the surest first: many programs write `parameters` too
_COMMENT_HEAD = 8  # "UNICODE\0" (Exif 3.0, table 9)


@dataclass(frozen=True, slots=True)
class ForeignPicture:
    """A whole picture.

    Parameters
    ----------
    png: The file itself where it is a PNG, else its pixels as one.
    width, height: Pixels.
    found: How it was drawn; None where it does not say.
    """

    png: bytes
    width: int
    height: int
    found: Found | None


def read_picture(content: bytes) -> ForeignPicture:
    """Read a picture's file. Raises `StorageError` for one that is torn or no picture."""
    try:
        with Image.open(BytesIO(content), formats=["PNG", "JPEG", "WEBP"]) as picture:
            found = _found(_texts(picture))
            if picture.format != "PNG":
                png = encode_png(np.asarray(picture.convert("RGB"), dtype=np.uint8))
                return ForeignPicture(png, picture.width, picture.height, found)
            size = picture.size
            picture.verify()  # every chunk's checksum, without decoding
            return ForeignPicture(content, *size, found)
    except (OSError, SyntaxError, ValueError, zlib.error, Image.DecompressionBombError) as error:
        said = "the bytes are no picture" if str(error).startswith("cannot identify") else str(error)
        raise StorageError(f"Not a readable picture: {said}") from error


def _found(texts: Mapping[str, str]) -> Found | None:
    return next((found for read in _READERS if (found := read(texts)) is not None), None)


def _texts(picture: Image.Image) -> dict[str, str]:
    texts = {name: value for name, value in picture.info.items() if isinstance(name, str) and isinstance(value, str)}
    if picture.format == "PNG":
        return texts
    comment = picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        texts.setdefault("parameters", _utf16(comment[_COMMENT_HEAD:]))
    return texts


def _utf16(data: bytes) -> str:
    """Programs disagree on the order of bytes; in text that begins with a Latin letter the zero tells."""
    order = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    return data.decode(order, errors="replace")

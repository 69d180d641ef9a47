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
_COMMENT_HEADS = {b"UNICODE\0": "utf-16", b"ASCII\0\0\0": "utf-8", bytes(8): "utf-8"}  # Exif 3.0, table 9


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
    exif = picture.getexif()
    comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if isinstance(comment, bytes):
        texts.setdefault("parameters", _comment(comment))
    model = exif.get(ExifTags.Base.Model)
    if isinstance(model, str) and model.startswith("prompt:"):  # ComfyUI's animated WebP
        texts.setdefault("prompt", model.removeprefix("prompt:"))
    return texts


def _comment(data: bytes) -> str:
    """An EXIF comment; some programs leave out the eight bytes before it that say how it is written."""
    encoding = _COMMENT_HEADS.get(data[:8])
    text = data if encoding is None else data[8:]
    return _utf16(text) if encoding == "utf-16" else text.decode("utf-8", errors="replace")


def _utf16(data: bytes) -> str:
    """Programs disagree on the order of bytes; read in the wrong one, the English names inside are none."""
    readings = [data.decode(order, errors="replace") for order in ("utf-16-be", "utf-16-le")]
    return max(readings, key=lambda text: sum(map(str.isascii, text))).removeprefix("\ufeff")

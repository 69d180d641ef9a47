"""A picture's file from elsewhere: its text, whatever holds it, and the same pixels as PNG."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from visioncraft import StorageError, encode_png

from visioncraft_gallery_fs.foreign import a1111, comfyui, invokeai
from visioncraft_gallery_fs.foreign.found import Found, HalfUnderstood
from visioncraft_gallery_fs.foreign.texts import texts_of

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_READERS = (invokeai.read, comfyui.read, a1111.read)  # the surest first: many programs write `parameters` too


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
            found = _found(texts_of(content))
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
    """What the first reader that knows the texts says. Raises `StorageError` for what is understood by halves."""
    try:
        return next((found for read in _READERS if (found := read(texts)) is not None), None)
    except HalfUnderstood as error:
        raise StorageError(f"not imported: {error}") from error

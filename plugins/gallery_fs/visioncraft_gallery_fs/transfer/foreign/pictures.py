"""A picture's file from elsewhere: its text, whatever holds it, and the same pixels as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from visioncraft import Decoders, StorageError, texts_of

from visioncraft_gallery_fs.transfer.foreign import a1111, comfyui, invokeai
from visioncraft_gallery_fs.transfer.foreign.metadata import ForeignMetadata, HalfUnderstood

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_PNG = b"\x89PNG"
_READERS = (invokeai.read, comfyui.read, a1111.read)  # the surest first: many programs write `parameters` too


@dataclass(frozen=True, slots=True)
class ForeignPicture:
    """A whole picture.

    Args:
        png: The file itself where it is a PNG, else its pixels as one.
        width, height: Pixels.
        found: How it was drawn; None where it does not say.
    """

    png: bytes
    width: int
    height: int
    found: ForeignMetadata | None


def read_picture(content: bytes, decoders: Decoders) -> ForeignPicture:
    """Read a picture's file. Raises `StorageError` for one that is torn or no picture.

    Args:
        decoders: Look at its pixels; what is no PNG becomes one, upright.
    """
    if content.startswith(_PNG):
        png, (width, height) = content, decoders.check_png(content)
    else:
        png, width, height = decoders.as_png(content)
    return ForeignPicture(png, width, height, _found(texts_of(content)))


def _found(texts: Mapping[str, str]) -> ForeignMetadata | None:
    """What the first reader that knows the texts says. Raises `StorageError` for what is understood by halves."""
    try:
        return next((found for read in _READERS if (found := read(texts)) is not None), None)
    except HalfUnderstood as error:
        raise StorageError(f"not imported: {error}") from error

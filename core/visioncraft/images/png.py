"""The PNG path: pixels are encoded once, and the record of how they were drawn travels inside the file.

PNG as in the W3C's Portable Network Graphics specification, third edition: https://www.w3.org/TR/png-3/. numpy,
Pillow and isal wait until a picture needs them, so importing this module costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from visioncraft.errors import GenerationFailed, StorageError
from visioncraft.images.metadata import SIGNATURE, a1111_parameters, chunk, read_record, read_record_file, with_record
from visioncraft.images.pixels import NoPicture, TooMuch, opaque, small, upright

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from visioncraft.types.gallery import ImageRecord

__all__ = ["decode_png", "encode_png", "read_record", "read_record_file", "webp_thumbnail", "with_record"]

_RGB_8BIT = bytes((8, 2, 0, 0, 0))  # bit depth, colour type, compression, filter method, interlace (PNG 11.2.1)
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286  # tags of Exif 2.32, where AUTOMATIC1111's tools look in WebP and JPEG
_MAX_EXIF = 60_000  # bytes; a JPEG's segment holds 65,533
_SUB = 1  # filter type: each byte minus the same channel of the pixel to its left (PNG 9.2)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode RGB pixels as PNG.

    The Sub filter costs one pass of numpy and takes most of what deflate would have to find; isal then compresses ten
    times as fast as zlib, without the GIL. Where isal is not installed Pillow does the work.

    Args:
        pixels: Shape (height, width, 3), dtype uint8.

    Raises `GenerationFailed` for anything else: a generator handed over something that is no picture.
    """
    _check_pixels(pixels)
    try:
        from isal import isal_zlib
    except ImportError:
        return _encode_with_pillow(pixels)
    height, width, _ = pixels.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + _RGB_8BIT
    data = isal_zlib.compress(_sub_filtered(pixels), 1)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG as RGB: shape (height, width, 3), dtype uint8. What may be seen through is on white.

    Raises `StorageError` for bytes that are no PNG, a damaged one, or one of more than `pixels.MAX_PIXELS` pixels.
    """
    import numpy as np

    with _told(png):
        return np.array(opaque(png), dtype=np.uint8)


def webp_thumbnail(png: bytes, side: int = 256) -> bytes:
    """A WebP of at most `side` pixels a side, of the picture's own proportions, never enlarged.

    Raises `StorageError` as `decode_png` does, but that a larger picture has a thumbnail too, where memory suffices.
    """
    with _told(png):
        return thumbnail(png, side)


def thumbnail(content: bytes, side: int) -> bytes:
    """As `webp_thumbnail`, of any picture's file. Raises `NoPicture`."""
    picture, buffer = small(content, side), BytesIO()
    picture.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()


def converted(png: bytes, kind: str, record: ImageRecord, quality: int | None = None) -> bytes:
    """The picture of a PNG in another format, with AUTOMATIC1111's `parameters` in its EXIF; it takes a while.

    Args:
        png: The picture, as the gallery has it.
        kind: `webp` or `jpeg`.
        record: What made it.
        quality: 1 to 100, the better the larger; None is 95 for `jpeg`, and no loss at all for `webp`.

    Raises `StorageError` as `decode_png` does, and for a picture that is too large for the format.
    """
    from PIL import Image

    with _told(png):
        picture, buffer = opaque(png), BytesIO()
    how: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "jpeg" else {"lossless": True}
    if quality is not None:
        how = {"quality": quality}
    comment = a1111_parameters(record).encode("utf-16-be", "replace")
    exif = Image.Exif()
    if len(comment) < _MAX_EXIF:
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + comment
    try:
        picture.save(buffer, kind, exif=exif.tobytes(), **how)
    except (OSError, ValueError) as error:
        raise StorageError(f"{picture.width}x{picture.height} cannot be a {kind}: {error}") from error
    return buffer.getvalue()


def as_png(content: bytes) -> tuple[bytes, int, int]:
    """A PNG, JPEG or WebP file as a PNG that is upright; answers its bytes, width and height. Raises `NoPicture`."""
    import numpy as np

    picture = upright(content)
    if picture.mode == "RGB":
        return encode_png(np.asarray(picture, dtype=np.uint8)), *picture.size
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), *picture.size


def _check_pixels(pixels: NDArray[np.uint8]) -> None:
    shape, dtype = getattr(pixels, "shape", None), getattr(pixels, "dtype", type(pixels).__name__)
    if shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape or str(dtype) != "uint8":
        raise GenerationFailed(
            f"encode_png wants uint8 pixels of shape (height, width, 3), got {dtype} of shape {shape}; "
            "convert them in the generator"
        )


def _sub_filtered(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scanlines with their filter byte, ready for deflate."""
    import numpy as np

    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels).reshape(height, width * channels)
    lines = np.empty((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 0] = _SUB
    lines[:, 1 : 1 + channels] = rows[:, :channels]
    np.subtract(rows[:, channels:], rows[:, :-channels], out=lines[:, 1 + channels :])
    return lines


def _encode_with_pillow(pixels: NDArray[np.uint8]) -> bytes:
    import numpy as np
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@contextmanager
def _told(png: bytes) -> Iterator[None]:
    """What is wrong with a PNG as the store's own error."""
    if not png.startswith(SIGNATURE):
        raise StorageError("Not a readable PNG: the bytes are no PNG picture")
    try:
        yield
    except TooMuch as error:
        raise StorageError(f"Not decoded: {error}") from error
    except NoPicture as error:
        raise StorageError("Not a readable PNG: it is damaged") from error

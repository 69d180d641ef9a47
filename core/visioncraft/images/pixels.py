"""The pixels of a picture's file, whoever wrote it: upright, with 8 bits, and nothing else that stands in the file.

What a file says beside its pixels (EXIF, colour profiles, text, further frames) never decides whether they are read:
of all that only the orientation counts, and one that cannot be read counts as upright. numpy and Pillow wait until a
picture needs them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from visioncraft.images.fitting import resized
from visioncraft.images.metadata import SIGNATURE, chunk

if TYPE_CHECKING:
    from PIL import Image

    from visioncraft.types.editing import Fit, MaskReading

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 2**26
"""The largest picture that is decoded, in pixels (8192 x 8192): a small file may claim to be a huge one."""

MAX_SIDE = 2**15
"""Its longest side, in pixels: the work of scaling grows with it."""

MAX_RATIO = 256
"""How many times one side may be the other."""

Use = Literal["picture", "mask", "condition"]
"""What a picture is sent for: to start from, to say where, or for a ControlNet to follow."""

_UNDER: dict[Use, str] = {"picture": "white", "mask": "black", "condition": "black"}
"""What is seen through a picture: black is what a mask leaves alone, and where a condition shows nothing."""

_ORIENTATION = 0x0112  # Exif 2.32, 4.6.4
_ON_ITS_SIDE = 5  # from this value on width and height change places
_HEAD_END = 33  # a PNG's signature and IHDR
_MAX_EXIF = 2**20  # in bytes; the orientation is a few of them
_PIXELS_OF_PNG = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_EXIF_OF_PNG = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # ImageMagick writes it as text, Photoshop as XMP
_START_OF_SCAN, _ALONE = 0xDA, (0x01, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7)  # JPEG markers (T.81, B.1.1.3)
_SAID_OF_JPEG = (*range(0xE1, 0xEE), 0xEF, 0xFE)  # APP1 to APP13, APP15, COM; APP0 and APP14 say what colours mean
_GAP = 3.0  # a JPEG is decoded at no less than so many times what is wanted


class NoPicture(ValueError):
    """A file that is not used, and what is wrong with it."""


class TooMuch(NoPicture):
    """A picture whose decoding or scaling takes more than is allowed."""


def upright_size(content: bytes) -> tuple[int, int]:
    """Width and height, without decoding. Raises `NoPicture` for what is none, or one past the bounds."""
    with _opened(content) as picture:
        _check_shape(*picture.size)
        width, height = picture.size
        return (height, width) if _orientation(content, picture) >= _ON_ITS_SIDE else (width, height)


def fitted(
    content: bytes,
    width: int,
    height: int,
    use: Use = "picture",
    reading: MaskReading | None = None,
    fit: Fit = "stretch",
) -> Image.Image:
    """The picture at the size it is used at, in RGB; a mask in shades of grey. Raises `NoPicture`.

    Args:
        content: Its file.
        width, height: The size it is used at, in pixels.
        use: What for.
        reading: How a mask is read, where white is not simply what is drawn anew.
        fit: How it comes to that size.
    """
    from PIL import ImageChops

    with _opened(content) as picture:
        _check_shape(*picture.size)
        turn = _orientation(content, picture)
        size = (height, width) if turn >= _ON_ITS_SIDE else (width, height)
        picture.draft(None, (int(size[0] * _GAP), int(size[1] * _GAP)))  # JPEG alone can be decoded smaller
        plain = _plain(picture)
    if use == "mask":
        plain = plain.convert("LA" if plain.mode in ("LA", "RGBA") else "L")
    if reading is not None and reading.channel == "alpha" and _may_be_seen_through(plain):
        plain = ImageChops.invert(plain.getchannel("A"))
    flat = _turned(_flat(resized(plain, size, fit), _UNDER[use]), turn)
    return flat if reading is None else _edged(flat.convert("L"), reading).convert("RGB")


def _may_be_seen_through(picture: Image.Image) -> bool:
    """Whether a part is transparent: programs write an alpha channel that says nothing into white and black masks."""
    return picture.mode == "LA" and picture.getchannel("A").getextrema() != (255, 255)


def _edged(mask: Image.Image, reading: MaskReading) -> Image.Image:
    """A mask in shades of grey, turned around, grown and softened as is said."""
    from PIL import ImageChops, ImageFilter

    mask = ImageChops.invert(mask) if reading.invert else mask
    for _ in range(reading.grow):
        mask = mask.filter(ImageFilter.MaxFilter(3))  # a pixel on each side
    return mask.filter(ImageFilter.GaussianBlur(reading.blur)) if reading.blur else mask


def checked_size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG whose chunks' checksums are right, not decoded. Raises `NoPicture`."""
    with _opened(png) as picture:
        picture.verify()
        return picture.size


def upright(content: bytes) -> Image.Image:
    """The whole picture, in RGB, or in RGBA where it may be seen through. Raises `NoPicture`."""
    with _opened(content) as picture:
        plain, turn = _plain(picture), _orientation(content, picture)
    return _turned(plain.convert("RGBA" if plain.mode in ("LA", "RGBA") else "RGB"), turn)


def small(content: bytes, side: int) -> Image.Image:
    """The picture at no more than `side` pixels a side, of its own proportions, never enlarged. Raises `NoPicture`."""
    with _opened(content) as picture:
        turn = _orientation(content, picture)
        picture.draft(None, (side * 2, side * 2))
        plain = _plain(picture)
    plain.thumbnail((side, side))
    return _turned(plain, turn)


def opaque(content: bytes, most: int = MAX_PIXELS) -> Image.Image:
    """The whole picture in RGB, on white where it may be seen through. Raises `NoPicture`, also past `most` pixels."""
    with _opened(content) as picture:
        check_pixels(*picture.size, most)
        return _flat(_plain(picture), _UNDER["picture"])


def check_pixels(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raise `NoPicture` past so many pixels."""
    if width * height > most:
        raise TooMuch(f"{width}x{height} is more than {most} pixels")


def _check_shape(width: int, height: int) -> None:
    check_pixels(width, height)
    if max(width, height) > MAX_SIDE:
        raise TooMuch(f"{width}x{height} has a side of more than {MAX_SIDE} pixels")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise TooMuch(f"{width}x{height} has a side of more than {MAX_RATIO} times the other")


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """The picture in a file, its pixels not yet decoded. Whatever goes wrong with them becomes `NoPicture`."""
    from PIL import Image

    try:
        with Image.open(BytesIO(_bare(content)), formats=FORMATS) as picture:
            yield picture
    except NoPicture:
        raise
    except MemoryError as error:
        raise TooMuch("takes more memory to decode than a picture may") from error
    except Image.DecompressionBombError as error:
        raise TooMuch(f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels") from error
    except Exception as error:  # Pillow raises whatever a damaged file makes it meet, struct.error and TypeError too
        raise NoPicture(f"not a readable {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture") from error


def _bare(content: bytes) -> bytes:
    """The file without what does not concern its pixels."""
    if content.startswith(SIGNATURE):
        return SIGNATURE + b"".join(part for kind, part in _chunks(content) if kind in _PIXELS_OF_PNG)
    return _bare_jpeg(content) if content.startswith(b"\xff\xd8") else content


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and whole bytes of each chunk, up to the first IEND; the last one of a file cut short is short too."""
    at, kind = len(SIGNATURE), b""
    while at < len(png) and kind != b"IEND":
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        kind = png[at + 4 : at + 8]
        yield kind, png[at:end]
        at = end


def _bare_jpeg(jpeg: bytes) -> bytes:
    """Segments up to the first scan without what other programs said; a head that is not understood stays as it is."""
    kept, at = [jpeg[:2]], 2
    while jpeg[at : at + 1] == b"\xff" and at + 4 <= len(jpeg):
        marker = jpeg[at + 1]
        if marker == _START_OF_SCAN:
            return b"".join((*kept, memoryview(jpeg)[at:]))
        length = 1 if marker == 0xFF else 2 if marker in _ALONE else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker not in _SAID_OF_JPEG:
            kept.append(jpeg[at : at + length])
        at += length
    return jpeg


def _orientation(content: bytes, picture: Image.Image) -> int:
    """How the camera was held, by EXIF's numbers; 1, which is upright, where that is not said or cannot be read."""
    from PIL import Image

    try:
        if picture.format == "WEBP":
            value = picture.getexif().get(_ORIENTATION)
        else:
            said = _said_of_png(content) if picture.format == "PNG" else content
            with Image.open(BytesIO(said), formats=FORMATS) as whole:
                value = whole.getexif().get(_ORIENTATION)
    except Exception:  # any damage; a picture is used whatever its EXIF looks like
        return 1
    return value if isinstance(value, int) and value in range(2, 9) else 1


def _said_of_png(png: bytes) -> bytes:
    """A PNG of one pixel with what this one says of its camera, which may stand behind its pixels."""
    said = (part for kind, part in _chunks(png) if kind in _EXIF_OF_PNG and len(part) <= _MAX_EXIF)
    camera = [part for part in said if part[4:8] == b"eXIf" or part[8:19].lower() in (b"raw profile", b"xml:com.ado")]
    head = chunk(b"IHDR", bytes((0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0)))
    return b"".join((SIGNATURE, head, *camera, chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"IEND", b"")))


def _plain(picture: Image.Image) -> Image.Image:
    """Decoded, in L, LA, RGB or RGBA: 8 bits, no palette, and what may be seen through said by an alpha channel."""
    if picture.mode.startswith("I"):
        return _eight_bits(picture)
    hidden = picture.info.get("transparency")
    depth = str(getattr(picture, "tile", ""))  # names what Pillow unpacks, as RGB;16B
    if isinstance(hidden, tuple) and ";16" in depth:  # Pillow halves the samples, and not this
        picture.info["transparency"] = tuple(value >> 8 for value in hidden)
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        return picture.convert("LA" if grey else "RGBA")
    return picture.convert("L" if grey else "RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A grey picture of 16 bits by the upper half of each sample, as Pillow reads those with colours."""
    import numpy as np
    from PIL import Image

    samples = np.asarray(picture)
    grey = Image.fromarray((samples.clip(0, 65535) >> 8).astype(np.uint8))
    if (hidden := picture.info.get("transparency")) is None:
        return grey
    return Image.merge("LA", (grey, Image.fromarray(np.where(samples == hidden, np.uint8(0), np.uint8(255)))))


def _flat(picture: Image.Image, under: str) -> Image.Image:
    """In RGB, on that colour where it may be seen through."""
    from PIL import Image

    if picture.mode not in ("LA", "RGBA"):
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, under)
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    return picture if orientation == 1 else picture.transpose(_turns()[orientation - 2])


def _turns() -> tuple[Image.Transpose, ...]:
    """What turns pictures of the orientations 2 to 8 upright."""
    from PIL.Image import Transpose

    return (
        Transpose.FLIP_LEFT_RIGHT,
        Transpose.ROTATE_180,
        Transpose.FLIP_TOP_BOTTOM,
        Transpose.TRANSPOSE,
        Transpose.ROTATE_270,
        Transpose.TRANSVERSE,
        Transpose.ROTATE_90,
    )

"""The texts inside an image's file, wherever a program or a converter put them.

PNG chunks before and behind the pixels, and EXIF. They are read apart from the pixels, so that no text's size or damage
refuses an image.
"""

from __future__ import annotations

import zlib
from io import BytesIO

from visioncraft.images.metadata import png_chunks

_COMMENT_HEADS = {b"UNICODE\0": "utf-16", b"ASCII\0\0\0": "utf-8", bytes(8): "utf-8"}  # Exif 3.0, table 9
_MOST = 2**24
"""Bytes of text that are read of one file, unpacked; what stands behind them is passed over."""
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286  # tags of Exif 2.32
_COMFYUI_TAGS = (0x0110, 0x010F, 0x010E)  # Model, Make, ImageDescription
_IMAGEMAGICKS_EXIF = "Raw profile type exif"


def texts_of(content: bytes) -> dict[str, str]:
    """Reads what stands in an image's file beside its pixels.

    Args:
        content: The file: PNG, JPEG or WebP. Of one that others made this is work for a process of its own.

    Returns:
        Texts by their keywords, of two with one keyword the first; the comment of a JPEG or WebP is `parameters`.

    Raises:
        StorageError: The file is a PNG that is torn.
        OSError: The file is no image.

    .. versionadded:: 1.1
    """
    if not content.startswith(b"\x89PNG"):
        from PIL import Image

        with Image.open(BytesIO(content), formats=["JPEG", "WEBP"]) as picture:
            return _of_exif(picture.info.get("exif", b""))
    found, exif = _of_png(content)
    return {**_of_exif(exif), **found}


def _of_png(png: bytes) -> tuple[dict[str, str], bytes]:
    """The texts, and the EXIF as bytes."""
    found: dict[str, str] = {}
    exif, room = b"", _MOST
    for kind, data in png_chunks(png):
        if kind == b"eXIf":
            exif = data
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, text = _chunk_text(kind, data, room)
            room -= len(text)
            found.setdefault(keyword.decode("latin-1"), _decoded(text))
    if (profile := found.pop(_IMAGEMAGICKS_EXIF, None)) is not None and not exif:
        exif = _unhexed(profile)
    return found, exif


def _unhexed(profile: str) -> bytes:
    """ImageMagick's way to write a profile as text: an empty line, its kind, its length, and its bytes in hex."""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return b""


def _chunk_text(kind: bytes, data: bytes, room: int) -> tuple[bytes, bytes]:
    """Keyword and text of a chunk (PNG, 11.3.3); empty where it is damaged or longer than there is room for."""
    keyword, _, rest = data.partition(b"\0")
    packed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] == b"\1")
    text = rest[2:].split(b"\0", 2)[-1] if kind == b"iTXt" else rest[kind == b"zTXt" :]
    if packed:
        unpacking = zlib.decompressobj()
        try:
            text = unpacking.decompress(text, room + 1)
        except zlib.error:
            return keyword, b""
    return keyword, text if len(text) <= room else b""


def _decoded(text: bytes) -> str:
    """tEXt is Latin-1 by the standard; many programs write UTF-8, which no Latin-1 that people write looks like."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _of_exif(data: bytes) -> dict[str, str]:
    """What AUTOMATIC1111 writes as a comment, and ComfyUI behind `prompt:` in a tag of the camera."""
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(data)
        comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
        tags = [exif.get(tag) for tag in _COMFYUI_TAGS]
    except Exception:  # Pillow raises whatever damage makes it meet; a picture is taken without its EXIF too
        return {}
    graphs = [tag[7:] for tag in tags if isinstance(tag, str) and tag[:7].lower() == "prompt:"]
    found = {"prompt": graphs[0]} if graphs else {}
    if isinstance(comment, bytes | str):
        found["parameters"] = comment if isinstance(comment, str) else _comment(comment)
    return found


def _comment(data: bytes) -> str:
    """An EXIF comment; some programs leave out the eight bytes before it that say how it is written."""
    encoding = _COMMENT_HEADS.get(data[:8])
    text = data if encoding is None else data[8:]
    return _utf16(text) if encoding == "utf-16" else text.decode("utf-8", errors="replace")


def _utf16(data: bytes) -> str:
    """Programs disagree on the order of bytes; read in the wrong one, the English names inside are none."""
    readings = [data.decode(order, errors="replace") for order in ("utf-16-be", "utf-16-le")]
    return max(readings, key=lambda text: sum(map(str.isascii, text))).removeprefix("\ufeff")

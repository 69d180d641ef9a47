"""What stands inside a picture's file beside its pixels: two text chunks between IHDR and the pixels.

`parameters` is the text that AUTOMATIC1111's tools read (`create_infotext` in its `modules/processing.py`, quoting
as in `modules/infotext_utils.py`). `visioncraft` is the whole `ImageRecord` as JSON, which loses nothing. Chunks are
laid out as in https://www.w3.org/TR/png-3/#11textinfo.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from io import SEEK_CUR, BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from visioncraft.errors import StorageError
from visioncraft.types.gallery import ImageRecord

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = "visioncraft"
A1111_KEYWORD = "parameters"
MAX_TEXT = 2**24
"""The longest text chunk that is written or read, in bytes. A longer one in a foreign file is passed over."""

_HEADER_END = 33  # the signature and IHDR, which always has 13 bytes of data
_FIELDS = tuple(field.name for field in fields(ImageRecord) if field.name != "marks")
"""What stands in the file: how the picture was made, which never changes. What people say of it lives elsewhere."""

_KINDS: dict[str, type | tuple[type, ...]] = {
    "seed": int,
    "width": int,
    "height": int,
    "generation_time": (int, float),
    "vram_used": (int, float),
    "parameters": dict,
    "facts": dict,
}


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk: length, type, data, CRC-32 of type and data."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((len(data).to_bytes(4, "big"), kind, data, checksum.to_bytes(4, "big")))


def with_record(png: bytes, record: ImageRecord, foreign: bool = False) -> bytes:
    """The same picture with `record` inside, in place of any record it had. The pixels' bytes are not touched.

    Args:
        foreign: Another program wrote the file: leave its own text as it is and add only the record.

    Raises `StorageError` for bytes that are no PNG and for a record that JSON cannot hold.
    """
    head_end, kept = _HEADER_END, []
    replaced = (KEYWORD,) if foreign else (KEYWORD, A1111_KEYWORD)
    for kind, start, end in _layout(png):
        if kind == b"IDAT":
            break
        head_end = end
        if kind != b"IHDR" and _keyword(kind, png[start:end]) not in replaced:
            kept.append(png[start:end])
    text = b"" if foreign else _text_chunk(A1111_KEYWORD, a1111_parameters(record))
    pixels = memoryview(png)[head_end:]  # a slice of bytes would be copied twice
    return b"".join((png[:_HEADER_END], text, _international(KEYWORD, _to_json(record)), *kept, pixels))


def read_record(png: bytes) -> ImageRecord | None:
    """The record inside a PNG; None when it has none, as a picture from elsewhere.

    Raises `StorageError` that says what is damaged: no PNG, an end before the end, a wrong checksum, a broken record.
    """
    return _read(BytesIO(png))


def read_record_file(path: Path) -> ImageRecord | None:
    """As `read_record`, from a file and without reading its pixels. Raises `StorageError` that names the file."""
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    except StorageError as error:
        raise StorageError(f"{path}: {error.message}") from error


def png_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and data of each chunk but the pixels', in their order. Raises `StorageError` for a torn file."""
    for kind, start, end in _layout(png):
        if kind != b"IDAT":
            yield kind, png[start + 8 : end - 4]


def a1111_parameters(record: ImageRecord) -> str:
    """The `parameters` text: the prompt, the negative prompt on a line of its own, then `Name: value` pairs."""
    pairs = {
        "Steps": record.parameters.get("num_inference_steps"),
        "Sampler": _a1111_sampler(record.parameters.get("sampler") or record.facts.get("sampler")),
        "CFG scale": record.parameters.get("guidance_scale"),
        "Seed": record.seed,
        "Size": f"{record.width}x{record.height}",
        "Model": record.model,
        "Denoising strength": record.parameters.get("strength"),
        "Clip skip": record.parameters.get("clip_skip"),
    }
    known = ", ".join(f"{name}: {_quoted(value)}" for name, value in pairs.items() if value is not None)
    negative = f"\nNegative prompt: {record.negative_prompt}" if record.negative_prompt else ""
    return f"{record.prompt}{negative}\n{known}".strip()


def _a1111_sampler(name: object) -> str | None:
    """`dpm++_2m_karras` as AUTOMATIC1111 writes it: `DPM++ 2M Karras`."""
    if not isinstance(name, str):
        return None
    spelled = {"a": "a", "unipc": "UniPC"}
    upper = ("dpm", "ddim", "ddpm", "plms", "lms", "lcm", "sde", "pndm", "2", "3")
    return " ".join(
        spelled.get(word, word.upper() if word.startswith(upper) else word.capitalize()) for word in name.split("_")
    )


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def _text_chunk(keyword: str, text: str) -> bytes:
    """tEXt where Latin-1 can say it, else iTXt: the choice Pillow makes, and with it every AUTOMATIC1111 tool."""
    safe = text.replace("\0", " ")  # a NUL ends the text in every text chunk (PNG 11.3.3)
    try:
        return _bounded(b"tEXt", keyword.encode("latin-1") + b"\0" + safe.encode("latin-1"))
    except UnicodeEncodeError:
        return _international(keyword, safe)


def _international(keyword: str, text: str) -> bytes:
    # Uncompressed, so that `strings` and `exiftool` show it; no language, no translated keyword.
    return _bounded(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode(errors="replace"))


def _bounded(kind: bytes, data: bytes) -> bytes:
    if len(data) > MAX_TEXT:
        raise StorageError(f"The record takes {len(data)} bytes in the file, {MAX_TEXT} at most; shorten the prompt")
    return chunk(kind, data)


def _to_json(record: ImageRecord) -> str:
    # The standard library's json on purpose: orjson refuses integers past 64 bits and lone surrogates.
    values: dict[str, Any] = {name: getattr(record, name) for name in _FIELDS}
    values |= {name: dict(values[name]) for name in ("parameters", "facts")}
    values["created_at"] = record.created_at.isoformat()
    try:
        return json.dumps({"format": 1, **values})
    except (TypeError, ValueError, RecursionError) as error:
        raise StorageError(f"The record of {record.id} cannot be written as JSON: {error}") from error


def _from_json(text: bytes) -> ImageRecord:
    try:
        values = json.loads(text)
        record = {name: values[name] for name in _FIELDS}
        wrong = [name for name, value in record.items() if not isinstance(value, _KINDS.get(name, str))]
        if wrong:
            raise ValueError(f"wrong type of {', '.join(wrong)}")
        return ImageRecord(**{**record, "created_at": datetime.fromisoformat(record["created_at"])})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        detail = f"no field {error}" if isinstance(error, KeyError) else error
        raise StorageError(f"The '{KEYWORD}' chunk is damaged: {detail}") from error


def _read(stream: BinaryIO) -> ImageRecord | None:
    """Walks to the end, passing over pixels, so that a file cut short is told apart from a whole one."""
    found: bytes | None = None
    for kind, length in _chunks(stream):
        if kind == b"iTXt" and length <= MAX_TEXT and found is None:
            found = _ours(_checked(stream, kind, length))
        else:
            stream.seek(length + 4, SEEK_CUR)
    return None if found is None else _from_json(found)


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and length of each chunk before IEND. The caller moves the stream past each one's data and checksum."""
    if stream.read(16) != SIGNATURE + b"\0\0\0\x0dIHDR":
        raise StorageError("Not a PNG: signature and header are missing")
    length, kind = 13, b"IHDR"
    while kind != b"IEND":
        yield kind, length
        head = stream.read(8)
        if len(head) < 8:
            raise StorageError(f"The PNG ends early: nothing whole follows its {_name(kind)} chunk")
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
    if len(stream.read(4)) < 4:
        raise StorageError("The PNG ends early: its IEND chunk is cut short")


def _checked(stream: BinaryIO, kind: bytes, length: int) -> bytes:
    body = stream.read(length + 4)
    data, checksum = body[:length], body[length:]
    if len(checksum) < 4 or int.from_bytes(checksum, "big") != zlib.crc32(data, zlib.crc32(kind)):
        raise StorageError(f"The PNG's {_name(kind)} chunk is damaged: its checksum does not match")
    return data


def _ours(data: bytes) -> bytes | None:
    """The text of an iTXt chunk if it is ours; tools that rewrite a PNG may have compressed it."""
    keyword, _, rest = data.partition(b"\0")
    if keyword != KEYWORD.encode():
        return None
    compressed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    if not compressed:
        return text
    try:
        return zlib.decompressobj().decompress(text, MAX_TEXT)
    except zlib.error as error:
        raise StorageError(f"The '{KEYWORD}' chunk is damaged: {error}") from error


def _name(kind: bytes) -> str:
    return kind.decode("ascii", errors="backslashreplace")


def _layout(png: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk before IEND, for splicing."""
    stream = BytesIO(png)
    for kind, length in _chunks(stream):
        start = stream.tell() - 8
        yield kind, start, stream.seek(length + 4, SEEK_CUR)


def _keyword(kind: bytes, whole: bytes) -> str | None:
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    return whole[8:].partition(b"\0")[0].decode("latin-1")

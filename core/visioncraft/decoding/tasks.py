"""What is asked of a decoding process, and what it answers. Messages are framed as `wire` says."""

from __future__ import annotations

import msgspec

from visioncraft.errors import StorageError
from visioncraft.images.pixels import NoPicture, TooMuch, Use, checked_size, fitted, upright_size
from visioncraft.images.png import as_png, encode_png, thumbnail
from visioncraft.images.texts import texts_of
from visioncraft.printing import whole_text
from visioncraft.types.editing import Fit as Fitting, MaskReading


class Look(msgspec.Struct, tag=True, frozen=True):
    """How large a picture is, upright."""

    data: bytes


class Fit(msgspec.Struct, tag=True, frozen=True):
    """Make it the PNG that a generator reads."""

    data: bytes
    width: int
    height: int
    use: Use
    reading: MaskReading | None = None
    fit: Fitting = "stretch"


class Inspect(msgspec.Struct, tag=True, frozen=True):
    """How large a picture is, upright, and what texts stand in its file."""

    data: bytes


class Shrink(msgspec.Struct, tag=True, frozen=True):
    """Make a PNG's thumbnail, a WebP."""

    data: bytes
    side: int


class Copy(msgspec.Struct, tag=True, frozen=True):
    """Make it a PNG, whole and upright."""

    data: bytes


class Check(msgspec.Struct, tag=True, frozen=True):
    """Whether a PNG is whole, and how large it is."""

    data: bytes


class Looked(msgspec.Struct, tag=True, frozen=True):
    """The size of a picture in pixels."""

    width: int
    height: int


class Inspected(msgspec.Struct, tag=True, frozen=True):
    """The size of a picture in pixels, and the texts in its file."""

    width: int
    height: int
    texts: dict[str, str]


class Made(msgspec.Struct, tag=True, frozen=True):
    """What was asked for; width and height in pixels where the task does not say them."""

    data: bytes
    width: int = 0
    height: int = 0


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The file is not used, and why; whether that is for what it takes."""

    issue: str
    too_much: bool = False


Task = Look | Inspect | Fit | Shrink | Copy | Check
Answer = Looked | Inspected | Made | Refused

to_decoder = msgspec.msgpack.Decoder(Task)
from_decoder = msgspec.msgpack.Decoder(Answer)


def perform(task: Task) -> Answer:
    """Do it here. What is wrong with the file is the answer, not an exception."""
    try:
        if isinstance(task, Look):
            return Looked(*upright_size(task.data))
        if isinstance(task, Inspect):
            return Inspected(*upright_size(task.data), _texts(task.data))
        if isinstance(task, Check):
            return Looked(*checked_size(task.data))
        if isinstance(task, Shrink):
            return Made(thumbnail(task.data, task.side))
        if isinstance(task, Copy):
            return Made(*as_png(task.data))
        return _fitted(task)
    except NoPicture as error:
        return Refused(str(error), isinstance(error, TooMuch))
    except MemoryError:
        return Refused("takes more memory than a picture may", too_much=True)


def _fitted(task: Fit) -> Made:
    import numpy as np

    pixels = fitted(task.data, task.width, task.height, task.use, task.reading, task.fit)
    return Made(encode_png(np.asarray(pixels)))


def _texts(data: bytes) -> dict[str, str]:
    """The texts in a picture's file; none where the file behind its pixels is damaged."""
    try:
        return {keyword: whole_text(text) for keyword, text in texts_of(data).items()}
    except (StorageError, OSError):
        return {}

"""What is asked of a decoding process, and what it answers. Messages are framed as `wire` says."""

from __future__ import annotations

import msgspec

from visioncraft.pixels import NoPicture, Use, fitted, upright_size


class Look(msgspec.Struct, tag=True, frozen=True):
    """How large a picture is, upright."""

    data: bytes


class Fit(msgspec.Struct, tag=True, frozen=True):
    """Make it the PNG that a generator reads."""

    data: bytes
    width: int
    height: int
    use: Use


class Shrink(msgspec.Struct, tag=True, frozen=True):
    """Make a PNG's thumbnail, a WebP."""

    data: bytes
    side: int


class Copy(msgspec.Struct, tag=True, frozen=True):
    """Make it a PNG, whole and upright."""

    data: bytes


class Looked(msgspec.Struct, tag=True, frozen=True):
    """The size of a picture in pixels."""

    width: int
    height: int


class Made(msgspec.Struct, tag=True, frozen=True):
    """What was asked for; width and height in pixels where the task does not say them."""

    data: bytes
    width: int = 0
    height: int = 0


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The file is not used, and why."""

    issue: str


Task = Look | Fit | Shrink | Copy
Answer = Looked | Made | Refused

to_decoder = msgspec.msgpack.Decoder(Task)
from_decoder = msgspec.msgpack.Decoder(Answer)


def perform(task: Task) -> Answer:
    """Do it here. What is wrong with the file is the answer, not an exception."""
    from visioncraft.errors import StorageError
    from visioncraft.images import as_png, encode_png, webp_thumbnail

    try:
        if isinstance(task, Look):
            return Looked(*upright_size(task.data))
        if isinstance(task, Fit):
            import numpy as np

            return Made(encode_png(np.asarray(fitted(task.data, task.width, task.height, task.use))))
        if isinstance(task, Shrink):
            return Made(webp_thumbnail(task.data, task.side))
        return Made(*as_png(task.data))
    except NoPicture as error:
        return Refused(str(error))
    except StorageError as error:
        return Refused(error.message)
    except MemoryError:
        return Refused("takes more memory than a picture may; send a smaller one")

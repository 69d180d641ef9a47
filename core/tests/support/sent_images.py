"""Images as clients send them, and what becomes of them at the door."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from visioncraft import decode_png, encode_png
from visioncraft.images.inputs import prepare, read
from visioncraft.images.pixels import Use

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 40, 3), dtype=np.uint8)
PNG = encode_png(PIXELS)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def made(sent: bytes, width: int = 16, height: int = 8, use: Use = "picture") -> NDArray[np.uint8]:
    return decode_png(prepare(read("init_image", sent), width, height, use).png)

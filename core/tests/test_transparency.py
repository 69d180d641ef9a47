"""Images of 16 bits, and what is transparent in an image, a mask or a condition."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sent_images import made, saved
from visioncraft.images.metadata import SIGNATURE, chunk
from visioncraft.images.pixels import Use

RAMP = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (8, 1))


def deep(samples: NDArray[np.uint16], colour_type: int, *more: bytes) -> bytes:
    """A PNG of 16 bits; the last axis is a pixel's samples."""
    height, width = samples.shape[:2]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(lines))
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(more) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("use", ["picture", "mask", "condition"])
@pytest.mark.parametrize(
    "sent",
    [
        deep(RAMP, 0),
        deep(np.stack([RAMP] * 3, -1), 2),
        deep(np.stack([RAMP, np.full_like(RAMP, 65535)], -1), 4),
        deep(np.stack([*[RAMP] * 3, np.full_like(RAMP, 65535)], -1), 6),
    ],
    ids=["grey", "RGB", "grey and alpha", "RGBA"],
)
def test_sixteen_bits_look_as_eight_do(sent: bytes, use: Use) -> None:
    expected = (RAMP >> 8).astype(int)[..., None]
    assert np.abs(made(sent, 256, 8, use) - expected).max() <= 1


HALF = np.zeros((8, 16), bool)
HALF[:, :8] = True
WHITE_HALF = np.where(HALF, np.uint8(255), np.uint8(0))
WHITE = np.full((8, 16), 255, np.uint8)


def palette_with_alpha() -> bytes:
    """White everywhere, by two entries of a palette, one of which is transparent."""
    picture = Image.fromarray(HALF.astype(np.uint8), "P")
    picture.putpalette([255] * 6)
    return saved(picture, "PNG", transparency=bytes((0, 255)))


def hidden(colour_type: int) -> bytes:
    """A picture of 16 bits, white on its left, whose almost white right a tRNS chunk makes transparent."""
    grey = np.where(HALF, np.uint16(65535), np.uint16(65000))
    samples = grey if colour_type == 0 else np.stack([grey] * 3, -1)
    said = struct.pack(">H", 65000) * (1 if colour_type == 0 else 3)
    return deep(samples, colour_type, chunk(b"tRNS", said))


def hidden_in_eight(mode: str) -> bytes:
    picture = Image.fromarray(np.where(HALF, np.uint8(255), np.uint8(254))).convert(mode)
    return saved(picture, "PNG", transparency=254 if mode == "L" else (254,) * 3)


HALF_HIDDEN = Image.merge("RGBA", [Image.fromarray(WHITE)] * 3 + [Image.fromarray(WHITE_HALF)])
SEEN_THROUGH = {
    "RGBA": saved(HALF_HIDDEN, "PNG"),
    "LA": saved(Image.merge("LA", [Image.fromarray(WHITE), Image.fromarray(WHITE_HALF)]), "PNG"),
    "palette": palette_with_alpha(),
    "tRNS of L": hidden_in_eight("L"),
    "tRNS of RGB": hidden_in_eight("RGB"),
    "tRNS of grey, 16 bits": hidden(0),
    "tRNS of RGB, 16 bits": hidden(2),
    "WebP": saved(HALF_HIDDEN, "WEBP", lossless=True, exact=True),
}


@pytest.mark.parametrize("sent", SEEN_THROUGH.values(), ids=SEEN_THROUGH)
@pytest.mark.parametrize("use", ["mask", "condition"])
def test_what_is_transparent_in_a_mask_or_a_condition_is_black_whatever_lies_under_it(sent: bytes, use: Use) -> None:
    ready = made(sent, use=use)
    assert (ready[HALF] == 255).all() and (ready[~HALF] == 0).all()


@pytest.mark.parametrize("under", [(0, 0, 0), (10, 200, 30)])
def test_what_is_transparent_in_a_picture_to_start_from_is_white_whatever_lies_under_it(under: tuple[int, ...]) -> None:
    picture = Image.new("RGBA", (16, 8), (*under, 0))
    picture.paste((200, 30, 30, 255), (0, 0, 8, 8))
    ready = made(saved(picture, "PNG"))
    assert (ready[HALF] == (200, 30, 30)).all() and (ready[~HALF] == 255).all()


def test_a_half_transparent_mask_is_half_painted() -> None:
    assert np.abs(made(saved(Image.new("RGBA", (16, 8), (255, 255, 255, 128)), "PNG"), use="mask") - 128.0).max() <= 1

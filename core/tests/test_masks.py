"""How masks of other programs are read: by what is transparent, turned around, grown and softened."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from visioncraft import Decoders, InvalidRequest, Mask, decode_png
from visioncraft.images import inputs

SIDE = 64
HALF = SIDE // 2


def file_of(pixels: NDArray[np.uint8], mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, "PNG")
    return buffer.getvalue()


def left_transparent() -> bytes:
    """A black image whose left half may be seen through, as OpenAI's clients send a mask."""
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[:, HALF:, 3] = 255
    return file_of(pixels, "RGBA")


def left_white() -> bytes:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[:, :HALF] = 255
    return file_of(pixels, "L")


def left_white_and_opaque() -> bytes:
    """As a canvas saves it: white and black, with an alpha channel that says nothing."""
    pixels = np.full((SIDE, SIDE, 4), 255, np.uint8)
    pixels[:, HALF:, :3] = 0
    return file_of(pixels, "RGBA")


def read(mask: Mask | bytes) -> NDArray[np.uint8]:
    """One row of the mask that a generator gets."""
    ready = inputs.prepare(inputs.read("mask", mask), SIDE, SIDE, "mask")
    return decode_png(ready.png)[SIDE // 2, :, 0]


@pytest.mark.parametrize(
    "mask",
    [
        left_white(),
        Mask(image=left_white()),
        Mask(image=left_transparent(), channel="alpha"),
        Mask(image=left_white(), channel="alpha"),
        Mask(image=left_white_and_opaque(), channel="alpha"),
    ],
)
def test_the_left_half_is_drawn_anew(mask: Mask | bytes) -> None:
    row = read(mask)
    assert row[: HALF - 4].min() > 250 and row[HALF + 4 :].max() < 5


def test_turned_around_it_is_the_other_half() -> None:
    assert (read(Mask(image=left_white(), invert=True)) == 255 - read(left_white())).all()


def test_grown_it_reaches_so_many_pixels_further() -> None:
    plain, grown = read(left_white()) > 127, read(Mask(image=left_white(), grow=6)) > 127
    assert grown.sum() == plain.sum() + 6


def test_softened_it_ends_in_a_slope() -> None:
    soft = read(Mask(image=left_white(), blur=6.0)).astype(int)
    assert (np.diff(soft) <= 0).all() and ((soft > 16) & (soft < 240)).sum() > 8


@pytest.mark.parametrize("edge", [{"grow": -1}, {"grow": 257}, {"blur": float("nan")}])
def test_an_edge_past_its_bounds_is_refused_by_name(edge: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="mask"):
        inputs.read("mask", Mask(image=b"", **edge))


def test_a_decoding_process_reads_it_the_same() -> None:
    mask, decoders = Mask(image=left_transparent(), channel="alpha", grow=3, blur=2.0), Decoders()
    try:
        there = asyncio.run(decoders.prepare(inputs.read("mask", mask), SIDE, SIDE, "mask"))
    finally:
        decoders.close()
    assert there == inputs.prepare(inputs.read("mask", mask), SIDE, SIDE, "mask")

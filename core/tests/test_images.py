"""Pixels: what is encoded comes back."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from visioncraft import GenerationFailed, StorageError
from visioncraft.images.metadata import SIGNATURE, chunk
from visioncraft.images.png import decode_png, encode_png, webp_thumbnail

HEADER_END = 33


def pixels(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


PNG = encode_png(pixels())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (7, 1), (24, 40), (64, 64), (513, 3)])
def test_pixels_come_back_as_they_were(height: int, width: int) -> None:
    drawn = pixels(height, width)
    encoded = encode_png(drawn)
    np.testing.assert_array_equal(decode_png(encoded), drawn)
    with Image.open(io.BytesIO(encoded)) as picture:
        picture.verify()


def test_pixels_that_are_a_view_into_something_larger_are_encoded_right() -> None:
    drawn = pixels(60, 80)[::2, 10:50:2]
    np.testing.assert_array_equal(decode_png(encode_png(drawn)), drawn)


def test_pillow_steps_in_where_isal_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    encoded = encode_png(pixels())
    assert encoded != PNG
    np.testing.assert_array_equal(decode_png(encoded), pixels())


@pytest.mark.parametrize(
    "wrong",
    [
        pixels().astype(np.float32),
        pixels()[:, :, 0],
        pixels()[:, :, :2],
        np.zeros((0, 4, 3), np.uint8),
        [[[0, 0, 0]]],
    ],
    ids=["floats", "grey", "two channels", "empty", "a list"],
)
def test_what_is_no_picture_is_refused_by_its_type_and_shape(wrong: Any) -> None:
    with pytest.raises(GenerationFailed, match=r"uint8 pixels of shape \(height, width, 3\), got"):
        encode_png(wrong)


def test_a_thumbnail_is_a_small_webp_of_the_same_proportions() -> None:
    with Image.open(io.BytesIO(webp_thumbnail(encode_png(pixels(300, 600)), side=100))) as small:
        assert (small.format, small.size) == ("WEBP", (100, 50))


def test_a_thumbnail_never_enlarges() -> None:
    with Image.open(io.BytesIO(webp_thumbnail(PNG))) as small:
        assert small.size == (40, 24)


@pytest.mark.parametrize("broken", [b"", b"no picture", PNG[:-60]], ids=["empty", "foreign", "cut"])
def test_bytes_that_are_no_png_cannot_be_decoded(broken: bytes) -> None:
    with pytest.raises(StorageError, match="Not a readable PNG"):
        decode_png(broken)
    with pytest.raises(StorageError, match="Not a readable PNG"):
        webp_thumbnail(broken)


def test_a_small_file_that_claims_to_be_a_huge_picture_is_refused() -> None:
    side = (9000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes((8, 2, 0, 0, 0)))
    with pytest.raises(StorageError, match="9000x9000 is more than"):
        decode_png(SIGNATURE + header + PNG[HEADER_END:])


@pytest.mark.parametrize("module", ["images", "runtime"])
def test_importing_the_module_brings_neither_numpy_nor_pillow_nor_isal(module: str) -> None:
    code = f"import sys, visioncraft.{module}; print({{'numpy', 'PIL', 'isal'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

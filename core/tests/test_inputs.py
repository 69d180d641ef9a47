"""Pictures at the door: what may come in, how it is made ready, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from visioncraft import InvalidRequest, decode_png, encode_png
from visioncraft.inputs import MAX_BYTES, prepare, read
from visioncraft.metadata import SIGNATURE, chunk

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 40, 3), dtype=np.uint8)
PNG = encode_png(PIXELS)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes that claims to be huge."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def issue_of(sent: str | bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        prepare(read("mask", sent), 8, 8)
    assert caught.value.details["field"] == "mask"
    return str(caught.value.details["issue"])


@pytest.mark.parametrize("head", ["", "data:image/png;base64,", "data:;base64,", "DATA:image/png;charset=x;BASE64,"])
def test_base64_and_data_urls_say_the_same_as_the_bytes(head: str) -> None:
    sent = read("init_image", head + base64.encodebytes(PNG).decode())
    assert sent.size == (40, 24)
    ready = prepare(sent, 40, 24)
    np.testing.assert_array_equal(decode_png(ready.png), PIXELS)
    assert ready.sha256 == hashlib.sha256(PNG).hexdigest()
    assert ready == prepare(read("init_image", PNG), 40, 24)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_every_common_format_comes_in_as_png(kind: str) -> None:
    ready = prepare(read("init_image", saved(Image.fromarray(PIXELS), kind)), 40, 24)
    assert ready.png.startswith(SIGNATURE) and decode_png(ready.png).shape == (24, 40, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    picture = Image.new(mode, (16, 8))
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode_png(prepare(read("init_image", saved(picture, kind)), 16, 8).png).shape == (8, 16, 3)


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn it to the right
    left_is_white = Image.new("RGB", (40, 24))
    left_is_white.paste("white", (0, 0, 20, 24))
    sent = read("init_image", saved(left_is_white, "PNG", exif=exif))
    assert sent.size == (24, 40)
    upright = decode_png(prepare(sent, 24, 40).png)
    assert upright[0, 12, 0] == 255 and upright[39, 12, 0] == 0


def test_a_picture_is_scaled_as_diffusers_does_it() -> None:
    expected = Image.fromarray(PIXELS).resize((64, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(decode_png(prepare(read("init_image", PNG), 64, 32).png), np.asarray(expected))


def test_a_mask_has_no_colour() -> None:
    mask = decode_png(prepare(read("mask", PNG), 40, 24, grey=True).png)
    np.testing.assert_array_equal(mask, np.repeat(np.asarray(Image.fromarray(PIXELS).convert("L"))[..., None], 3, 2))


@pytest.mark.parametrize(
    "sent",
    ["", "no base64!", "aGVsbG8=", "data:image/png,raw", "data:text/html;base64,AAAA", b"", b"GIF89a" + bytes(60)],
)
def test_what_is_no_picture_is_refused(sent: str | bytes) -> None:
    assert "PNG" in issue_of(sent) or "png" in issue_of(sent)


@pytest.mark.parametrize("kept", [8, 30, len(PNG) - 40])
def test_a_file_cut_short_is_refused(kept: int) -> None:
    assert "not a readable" in issue_of(PNG[:kept])


@pytest.mark.parametrize("side", [8193, 20_000])
def test_a_small_file_that_claims_to_be_huge_is_refused_undecoded(side: int) -> None:
    assert "pixels" in issue_of(bomb(side)) or "not a readable" in issue_of(bomb(side))


def test_a_file_past_the_bound_is_refused() -> None:
    assert "at most" in issue_of(bytes(MAX_BYTES + 1))


def test_a_hash_in_place_of_a_picture_says_to_send_it_again() -> None:
    assert "not kept" in issue_of(f"sha256:{'0' * 64}")

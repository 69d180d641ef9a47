"""Pictures at the door: what may come in, how it is made ready, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from sent_images import PIXELS, PNG, made, saved
from visioncraft import InvalidRequest, decode_png
from visioncraft.images.inputs import MAX_BYTES, look, prepare, read
from visioncraft.images.metadata import SIGNATURE, chunk


def claiming(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that claims to be of that size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
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
    assert look(sent) == (40, 24)
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
    assert look(sent) == (24, 40)
    upright = decode_png(prepare(sent, 24, 40).png)
    assert upright[0, 12, 0] == 255 and upright[39, 12, 0] == 0


def test_a_picture_is_scaled_as_diffusers_does_it() -> None:
    expected = Image.fromarray(PIXELS).resize((64, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(decode_png(prepare(read("init_image", PNG), 64, 32).png), np.asarray(expected))


def test_a_mask_has_no_colour() -> None:
    mask = decode_png(prepare(read("mask", PNG), 40, 24, "mask").png)
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


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (8193, 8192, "pixels"),
        (20_000, 20_000, "pixels"),
        (2**26, 1, "side of more than 32768"),
        (1, 2**26, "side of more than 32768"),
        (8, 8 * 256 + 1, "256 times"),
        (2**31 - 1, 2**31 - 1, "pixels"),
    ],
)
def test_a_shape_that_would_cost_too_much_is_refused_undecoded(width: int, height: int, said: str) -> None:
    assert said in issue_of(claiming(width, height))
    with pytest.raises(InvalidRequest):
        look(read("mask", claiming(width, height)))


def test_a_file_past_the_bound_is_refused() -> None:
    assert "at most" in issue_of(bytes(MAX_BYTES + 1))


def test_a_hash_in_place_of_a_picture_says_to_send_it_again() -> None:
    assert "not kept" in issue_of(f"sha256:{'0' * 64}")


LEFT_IS_WHITE = Image.new("RGB", (80, 40))
LEFT_IS_WHITE.paste("white", (0, 0, 40, 40))
ON_ITS_SIDE = (0x112, 3, 1, struct.pack("<HH", 6, 0))


def exif(*entries: tuple[int, int, int, bytes], behind: bytes = b"") -> bytes:
    """EXIF of one directory: tag, type, count and the four bytes of the value; `behind` stands after it."""
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4) + behind


BEHIND = struct.pack("<I", 8 + 2 + 2 * 12 + 4)
STRANGE_EXIF = {
    "resolution of -1/0": exif(ON_ITS_SIDE, (0x11A, 10, 1, BEHIND), behind=struct.pack("<ii", -1, 0)),
    "unit past its type": exif(ON_ITS_SIDE, (0x128, 4, 1, struct.pack("<I", 70_000))),
    "value past the end": exif(ON_ITS_SIDE, (0x11B, 5, 1, struct.pack("<I", 10**6))),
    "directory in a circle": exif(ON_ITS_SIDE, (0x8769, 4, 1, struct.pack("<I", 8))),
    "type that there is not": exif(ON_ITS_SIDE, (0x131, 99, 1, bytes(4))),
    "software of rationals": exif(ON_ITS_SIDE, (0x131, 5, 3, BEHIND), behind=bytes(24)),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("said", STRANGE_EXIF.values(), ids=STRANGE_EXIF)
def test_what_else_exif_says_does_not_matter_to_a_picture(kind: str, said: bytes) -> None:
    sent = saved(LEFT_IS_WHITE, kind, exif=said, **({"lossless": True} if kind == "WEBP" else {}))
    assert look(read("init_image", sent)) == (40, 80)
    upright = made(sent, 40, 80)
    assert upright[2, 20, 0] > 250 and upright[77, 20, 0] < 5


@pytest.mark.parametrize(
    "said",
    [
        exif((0x112, 7, 4, b"abcd")),
        exif((0x112, 2, 4, b"6\0\0\0")),
        exif((0x112, 3, 1, struct.pack("<HH", 9, 0))),
        exif((0x112, 5, 1, struct.pack("<I", 10**6))),
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
    ],
)
def test_an_orientation_that_is_none_counts_as_upright(said: bytes) -> None:
    sent = saved(LEFT_IS_WHITE, "JPEG")
    sent = sent[:2] + b"\xff\xe1" + struct.pack(">H", len(said) + 2) + said + sent[2:]
    assert look(read("init_image", sent)) == (80, 40)
    assert made(sent, 80, 40)[20, 2, 0] > 250


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("place", ["before", "behind"])
def test_every_orientation_is_turned_upright_wherever_a_png_says_it(orientation: int, place: str) -> None:
    camera = Image.Exif()
    camera[0x0112] = orientation
    png = saved(Image.fromarray(PIXELS), "PNG")
    said = chunk(b"eXIf", camera.tobytes().removeprefix(b"Exif\0\0"))
    sent = png[:33] + said + png[33:] if place == "before" else png[:-12] + said + png[-12:]
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(saved(Image.fromarray(PIXELS), "PNG", exif=camera))))
    assert expected is not None and look(read("init_image", sent)) == expected.size
    np.testing.assert_array_equal(made(sent, *expected.size), np.asarray(expected))


def said_in_png(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


BESIDE_THE_PIXELS = {
    "2 MB of text, compressed": said_in_png(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"a" * 2_000_000))),
    "2 MB of text": said_in_png(chunk(b"tEXt", b"workflow\0" + b"a" * 2_000_000)),
    "2 MB of text in UTF-8": said_in_png(chunk(b"iTXt", b"w\0\1\0\0\0" + zlib.compress(b"a" * 2_000_000))),
    "100 texts of 900 kB": said_in_png(*[chunk(b"zTXt", b"w\0\0" + zlib.compress(b"a" * 900_000))] * 100),
    "text that does not inflate": said_in_png(chunk(b"zTXt", b"w\0\0no zlib")),
    "EXIF as text that does not inflate": said_in_png(chunk(b"zTXt", b"Raw profile type exif\0\0no zlib")),
    "a colour profile of 2 MB": said_in_png(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(2_000_000)))),
    "a colour profile that is none": said_in_png(chunk(b"iCCP", b"p")),
    "a wrong checksum of a text": said_in_png(chunk(b"tEXt", b"a\0b")[:-1] + b"\0"),
    "a broken time": said_in_png(chunk(b"pHYs", b"")),
    "a broken animation": said_in_png(chunk(b"acTL", b"\xff"), chunk(b"fcTL", b"")),
    "something behind its end": PNG + b"PK" * 100,
}


@pytest.mark.parametrize("sent", BESIDE_THE_PIXELS.values(), ids=BESIDE_THE_PIXELS)
def test_what_stands_beside_the_pixels_of_a_png_is_passed_over(sent: bytes) -> None:
    np.testing.assert_array_equal(made(sent, 40, 24), PIXELS)


def test_an_animation_is_its_first_picture() -> None:
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("white", "black")]
    for kind in ("PNG", "WEBP"):
        assert made(saved(frames[0], kind, save_all=True, append_images=frames[1:])).min() > 250


def test_what_other_programs_wrote_into_a_jpeg_is_passed_over() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = saved(LEFT_IS_WHITE, "JPEG", icc_profile=profile)
    markers = (*range(0xE1, 0xEE), 0xFE)
    strange = b"".join(b"\xff" + bytes((marker,)) + struct.pack(">H", 40) + b"x" * 38 for marker in markers)
    np.testing.assert_array_equal(made(plain[:2] + b"\xff" + strange + plain[2:], 80, 40), made(plain, 80, 40))


def test_a_large_photograph_comes_in_as_a_small_one_of_it_would() -> None:
    rings = Image.radial_gradient("L").resize((3000, 2000)).convert("RGB")
    expected = np.asarray(rings.resize((300, 200), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(made(saved(rings, "JPEG", quality=95), 300, 200) - expected).max() <= 3
    assert np.abs(made(saved(rings, "PNG"), 300, 200) - expected).max() <= 1

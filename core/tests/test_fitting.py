"""How an image comes to a size of other proportions, and what is read of one without drawing."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from visioncraft import Decoders, FittedImage, Mask, decode_png
from visioncraft.images import inputs
from visioncraft.images.inputs import Sent
from visioncraft.types.editing import Fit

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def striped(mode: str = "RGB", exif: int = 1) -> bytes:
    """An image of 96x32: a red square, a green one and a blue one."""
    image = Image.new("RGB", (96, 32), GREEN)
    image.paste(RED, (0, 0, 32, 32))
    image.paste(BLUE, (64, 0, 96, 32))
    buffer = io.BytesIO()
    orientation = Image.Exif()
    orientation[0x0112] = exif
    image.convert(mode).save(buffer, "PNG", exif=orientation)
    return buffer.getvalue()


def fitted(fit: Fit, width: int, height: int, content: bytes | None = None) -> NDArray[np.uint8]:
    sent = inputs.read("init_image", FittedImage(content or striped(), fit))
    return decode_png(inputs.prepare(sent, width, height).png)


def colours(pixels: NDArray[np.uint8], *points: tuple[int, int]) -> list[tuple[int, ...]]:
    return [tuple(int(value > 127) * 255 for value in pixels[y, x]) for y, x in points]


def test_stretched_everything_is_there_in_other_proportions() -> None:
    assert colours(fitted("stretch", 48, 48), (24, 4), (24, 24), (24, 44)) == [RED, GREEN, BLUE]


def test_cropped_the_middle_is_there_in_its_own_proportions() -> None:
    assert colours(fitted("crop", 48, 48), (2, 4), (24, 24), (45, 44)) == [GREEN, GREEN, GREEN]


def test_padded_everything_is_there_between_strips_of_its_edges_colours() -> None:
    pixels = fitted("pad", 48, 48)
    assert colours(pixels, (24, 4), (24, 24), (24, 44)) == [RED, GREEN, BLUE]
    assert colours(pixels, (0, 4), (47, 24), (0, 44)) == [RED, GREEN, BLUE]


def test_a_photograph_on_its_side_is_cropped_as_people_see_it() -> None:
    upright = fitted("crop", 32, 64, striped(exif=6))
    assert upright.shape == (64, 32, 3)
    assert colours(upright, (2, 16), (32, 16), (61, 16)) == [RED, GREEN, BLUE]


def test_a_mask_is_fitted_as_the_image_that_it_is_for() -> None:
    grey = io.BytesIO()
    Image.open(io.BytesIO(striped())).getchannel("B").save(grey, "PNG")
    mask = Mask(image=FittedImage(grey.getvalue(), "crop"), invert=True)
    assert decode_png(inputs.prepare(inputs.read("mask", mask), 32, 32, "mask").png).min() > 250


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders()
    yield made
    made.close()


def test_a_fit_is_the_same_in_another_process(decoders: Decoders) -> None:
    sent = inputs.read("init_image", FittedImage(striped(), "pad"))
    ready = asyncio.run(decoders.prepare(sent, 48, 48, "picture"))
    assert np.array_equal(decode_png(ready.png), fitted("pad", 48, 48))


def test_the_texts_of_a_png_are_read_elsewhere_with_its_size(decoders: Decoders) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a fox\nSteps: 20")
    texts.add_itxt("title", "狐", zip=True)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "PNG", pnginfo=texts)
    facts = asyncio.run(decoders.inspect(Sent("image", buffer.getvalue())))
    assert (facts.width, facts.height) == (8, 6)
    assert facts.texts == {"parameters": "a fox\nSteps: 20", "title": "狐"}


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_the_comment_of_a_jpeg_or_webp_is_its_parameters(decoders: Decoders, kind: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a fox, 狐".encode("utf-16-be")
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, kind, exif=exif)
    assert asyncio.run(decoders.inspect(Sent("image", buffer.getvalue()))).texts == {"parameters": "a fox, 狐"}

"""Which picture does a drawing look like? Colour and shape features that know nothing of any drawing.

Thumbnail, histogram of colours and histograms of edge directions (after Dalal and Triggs, 2005,
doi:10.1109/CVPR.2005.177), each scaled to length 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

Array = NDArray[np.float32]
SIDE, CELL, DIRECTIONS = 64, 8, 8
WHITE = (255, 255, 255)


def features(picture: Image.Image) -> Array:
    """One row of features, of length sqrt(3), for a picture of any size; it is framed first."""
    small = framed(picture).resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small).astype(np.float32) / 255
    thumbnail = 1 - np.asarray(small.resize((16, 16), Image.Resampling.BOX)).astype(np.float32) / 255
    return np.concatenate([_unit(thumbnail.ravel()), _unit(_colours(small)), _unit(_edges(pixels.mean(2)))])


def framed(picture: Image.Image) -> Image.Image:
    """The square around what is not paper, so that place and size do not count; paper is what the corners show."""
    rgb = picture.convert("RGB")
    pixels = np.asarray(rgb).astype(np.int16)
    paper = np.median(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], axis=0)
    drawn = np.abs(pixels - paper).max(2) > 40
    rows, columns = np.flatnonzero(drawn.mean(1) > 0.01), np.flatnonzero(drawn.mean(0) > 0.01)
    if not len(rows) or not len(columns):
        return rgb
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(bottom - top, right - left)
    square = Image.new("RGB", (side, side), WHITE)
    part = rgb.crop((left, top, right, bottom))
    square.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return square


def _unit(row: NDArray[np.floating[Any]]) -> Array:
    return (row / max(float(np.linalg.norm(row)), 1e-6)).astype(np.float32)


def _colours(picture: Image.Image) -> Array:
    """The square roots of the shares of 12 hues by 3 shades, and of 4 grays; paper is left out."""
    hue, saturation, value = np.asarray(picture.convert("HSV")).astype(int).reshape(-1, 3).T
    coloured, paper = saturation > 60, (saturation <= 20) & (value > 240)
    bins = np.where(coloured, hue * 12 // 256 * 3 + value * 3 // 256, 36 + value * 4 // 256)
    return np.sqrt(np.bincount(bins[~paper], minlength=40)).astype(np.float32)


def _edges(gray: Array) -> Array:
    """For each cell of 8x8 pixels, how much edge there is in each of 8 directions."""
    down, across = np.gradient(gray)
    direction = (np.arctan2(down, across) % np.pi * DIRECTIONS / np.pi).astype(int) % DIRECTIONS
    cells = np.arange(SIDE) // CELL
    place = (cells[:, None] * (SIDE // CELL) + cells) * DIRECTIONS + direction
    strength = np.hypot(down, across)
    return np.sqrt(np.bincount(place.ravel(), strength.ravel(), (SIDE // CELL) ** 2 * DIRECTIONS)).astype(np.float32)


def ranks(drawn: Sequence[Array], originals: Sequence[Array], right: Sequence[int]) -> list[int]:
    """For each drawing, how many originals look more like it than the right one does: 0 is a hit."""
    likeness = np.stack(drawn) @ np.stack(originals).T
    return [int((row > row[number]).sum()) for row, number in zip(likeness, right, strict=True)]


def disturbed(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    """A picture turned, shifted, shrunk, blurred and faded a little: what the features' own accuracy is measured on."""
    side = picture.width
    size = int(side * draw.uniform(0.75, 0.95))
    turned = picture.convert("RGB").rotate(float(draw.uniform(-8, 8)), Image.Resampling.BILINEAR, fillcolor=WHITE)
    small = turned.resize((size // 4, size // 4), Image.Resampling.BOX).resize((size, size), Image.Resampling.BILINEAR)
    paper = Image.new("RGB", (side, side), WHITE)
    left, top = draw.integers(0, side - size + 1, 2).tolist()
    paper.paste(small, (left, top))
    faded = ImageEnhance.Color(paper).enhance(float(draw.uniform(0.7, 1.4)))
    noisy = np.asarray(faded).astype(np.float32) + draw.normal(0, 8, (side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))

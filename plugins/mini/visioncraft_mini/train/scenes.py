"""Scenes put together from several cut-outs, and recoloured cut-outs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from visioncraft_mini.train.pictures import SIDE, picture_path

HUES = {"red": 352.0, "orange": 28.0, "yellow": 48.0, "green": 120.0, "blue": 215.0, "purple": 275.0, "pink": 325.0}


def cutout(modules: Path, code: str, size: int = SIDE) -> Image.Image:
    """One picture as an RGBA image of ``size`` pixels."""
    path = picture_path(modules, code)
    if path is None:
        raise FileNotFoundError(f"no picture for {code} under {modules}; run `make mini-data`")
    with Image.open(path) as picture:
        return picture.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)


def _put(scene: Image.Image, modules: Path, code: str, size: int, place: tuple[int, int]) -> None:
    scene.alpha_composite(cutout(modules, code, size), place)


def _plate(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    """A rounded square with a gradient, as the landscapes of the set have."""
    shade = np.linspace(0, 1, SIDE)[:, None, None]
    rows = np.array(top) * (1 - shade) + np.array(bottom) * shade
    picture = Image.fromarray(np.broadcast_to(rows, (SIDE, SIDE, 3)).astype(np.uint8), "RGB").convert("RGBA")
    mask = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(mask).rounded_rectangle((16, 16, SIDE - 17, SIDE - 17), radius=28, fill=255)
    picture.putalpha(mask)
    return picture


def garden(modules: Path) -> Image.Image:
    """Flowers in two rows on a lawn under a light sky."""
    scene = _plate((190, 228, 255), (225, 244, 255))
    lawn = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    ImageDraw.Draw(lawn).rectangle((0, 128, SIDE, SIDE), fill=(104, 190, 84, 255))
    lawn.putalpha(Image.composite(scene.getchannel("A"), Image.new("L", scene.size, 0), lawn.getchannel("A")))
    scene.alpha_composite(lawn)
    for code, left in (("1f33b", 24), ("1f339", 88), ("1f337", 150)):
        _put(scene, modules, code, 86, (left, 62))
    for code, left in (("1f337", 16), ("1f33c", 72), ("1f33b", 128), ("1f339", 166)):
        _put(scene, modules, code, 82, (left, 148))
    return scene


def flying_cars(modules: Path) -> Image.Image:
    """The city by day with cars and a saucer in its sky."""
    scene = cutout(modules, "1f303")
    _put(scene, modules, "1f697", 84, (26, 24))
    _put(scene, modules, "1f6f8", 88, (138, 14))
    _put(scene, modules, "1f695", 64, (150, 92))
    return scene


def dragon_clouds(modules: Path) -> Image.Image:
    """The dragon among clouds in a blue sky."""
    scene = _plate((96, 176, 250), (170, 220, 255))
    _put(scene, modules, "2601", 96, (18, 14))
    _put(scene, modules, "1f409", 176, (42, 36))
    _put(scene, modules, "2601", 110, (8, 148))
    _put(scene, modules, "2601", 124, (122, 142))
    return scene


def lake_sunset(modules: Path) -> Image.Image:
    """The mountain lake with its sky and water turned to evening colours."""
    pixels = np.asarray(cutout(modules, "1f3de")).astype(np.float32)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    bright_blue = np.clip((blue - red) / 120, 0, 1) * np.clip((blue - 140) / 60, 0, 1) * (blue >= green)
    height = np.linspace(0, 1, SIDE)[:, None, None]
    evening = np.array([255, 120, 60]) * (1 - height) + np.array([255, 190, 110]) * height
    evening = np.where(height < 0.6, evening, np.array([150, 110, 215]))
    mixed = pixels[..., :3] * (1 - bright_blue[..., None]) + evening * bright_blue[..., None]
    mixed *= np.array([1.0, 0.88, 0.82])
    scene = Image.fromarray(np.dstack([mixed, pixels[..., 3]]).clip(0, 255).astype(np.uint8), "RGBA")
    _put(scene, modules, "2600", 72, (160, 26))
    return scene


SCENES: dict[str, Callable[[Path], Image.Image]] = {
    "scene:garden": garden,
    "scene:flying-cars": flying_cars,
    "scene:dragon-clouds": dragon_clouds,
    "scene:lake-sunset": lake_sunset,
}


def picture_of(modules: Path, code: str) -> Tensor:
    """The picture of a concept's code, emoji or scene: uint8 [4, 256, 256]."""
    image = SCENES[code](modules) if code in SCENES else cutout(modules, code)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def side_by_side(left: Tensor, right: Tensor) -> Tensor:
    """Two pictures uint8 [4, 256, 256] at half size on one, at the same height."""
    scene = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    for picture, place in ((left, 0), (right, SIDE // 2)):
        image = Image.fromarray(picture.permute(1, 2, 0).numpy(), "RGBA")
        scene.alpha_composite(image.resize((SIDE // 2, SIDE // 2), Image.Resampling.LANCZOS), (place, SIDE // 4))
    return torch.from_numpy(np.asarray(scene).copy()).permute(2, 0, 1)


def recoloured(rgba: Tensor, base: float, wanted: float) -> Tensor:
    """Turn the hues within 40 degrees of ``base`` to ``wanted``; other parts keep their colour."""
    pixels = rgba.permute(1, 2, 0).numpy()
    hsv = np.asarray(Image.fromarray(pixels[..., :3]).convert("HSV")).astype(np.float32)
    turn = (hsv[..., 0] * 360 / 255 - base + 180) % 360 - 180
    near = (np.abs(turn) < 40) & (hsv[..., 1] > 60)
    hue = np.where(near, (wanted + turn * 0.5) % 360, hsv[..., 0] * 360 / 255)
    turned = np.dstack([hue * 255 / 360, hsv[..., 1], hsv[..., 2]]).clip(0, 255).astype(np.uint8)
    colour = np.asarray(Image.fromarray(turned, "HSV").convert("RGB"))
    return torch.from_numpy(np.dstack([colour, pixels[..., 3]])).permute(2, 0, 1)

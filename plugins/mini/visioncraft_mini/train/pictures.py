"""The pictures: Microsoft Fluent Emoji 3D as cut-outs, put on paper of any colour."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

SIDE = 256
ASSETS = Path("@lobehub/fluent-emoji-3d/assets")


def picture_path(modules: Path, code: str) -> Path | None:
    """The file of a code point, whichever way its variation selector is written."""
    for name in (code, code.replace("-fe0f", ""), f"{code}-fe0f"):
        path = modules / ASSETS / f"{name}.webp"
        if path.exists():
            return path
    return None


def load_cutout(path: Path) -> Tensor:
    """One picture as uint8 [4, 256, 256], its colour premultiplied by nothing: plain RGBA."""
    with Image.open(path) as picture:
        rgba = picture.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(rgba).copy()).permute(2, 0, 1)


def load_cutouts(modules: Path, codes: list[str]) -> Tensor:
    """All pictures of ``codes``, uint8 [n, 4, 256, 256]."""
    paths = [picture_path(modules, code) for code in codes]
    missing = [code for code, path in zip(codes, paths, strict=True) if path is None]
    if missing:
        raise FileNotFoundError(f"no picture for {', '.join(missing)} under {modules / ASSETS}; run `make mini-data`")
    return torch.stack([load_cutout(path) for path in paths if path is not None])


def on_paper(cutouts: Tensor, paper: Tensor) -> Tensor:
    """Composite uint8 [n, 4, h, w] on colours [n, 3] in 0..1: float [n, 3, h, w] in -1..1."""
    scaled = cutouts.float() / 255
    alpha = scaled[:, 3:]
    return (scaled[:, :3] * alpha + paper[:, :, None, None] * (1 - alpha)) * 2 - 1


def doubled(images: Tensor) -> Tensor:
    """Twice the size, bicubic: the pictures are 256 px, the model is native to 512."""
    return functional.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False).clamp(-1, 1)


def random_crops(cutouts: Tensor, count: int, side: int, weights: Tensor) -> Tensor:
    """``count`` mirrored, cropped pictures on white or random paper: [count, 3, side, side]."""
    chosen = torch.multinomial(weights, count, replacement=True)
    corners = torch.randint(0, SIDE - side + 1, (count, 2)).tolist()
    crops = torch.stack(
        [
            cutouts[index, :, top : top + side, left : left + side]
            for index, (top, left) in zip(chosen.tolist(), corners, strict=True)
        ]
    )
    if torch.rand(()) < 0.5:
        crops = crops.flip(-1)
    paper = torch.where(torch.rand(count, 1) < 0.5, torch.ones(count, 3), torch.rand(count, 3))
    return on_paper(crops, paper)

"""Small pictures of what is being drawn, from the latents, without running the VAE at every look."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import diffusers
import torch
import torch.nn.functional as functional
from visioncraft import encode_png

from visioncraft_local_sd.weights.components import DIFFUSERS_STEM, component_files, linked
from visioncraft_local_sd.weights.safety import CheckpointRefused

_log = logging.getLogger("visioncraft.local_sd")
_SIDE = 256  # the longest, in pixels
_FIT_SIDE = 16  # latents that the projection is fitted on

PreviewKind = Literal["linear", "taesd", "off"]
Decode = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class PreviewChoice:
    """What settings want shown.

    Args:
        kind: `linear`, `taesd` or `off`.
        every: Steps between two previews.
        models_dir: TAESD's weights lie below it, in a folder that the family names.
    """

    kind: PreviewKind
    every: int
    models_dir: Path


class Previewer:
    """Shows latents of one model.

    Args:
        choice: What settings want.
        decode: The model's own VAE: latents of shape (1, channels, h, w) to pictures of shape (1, 3, H, W) in -1 to 1.
        taesd: The folder of the tiny decoder for its latents; empty where there is none.
    """

    def __init__(self, choice: PreviewChoice, decode: Decode, taesd: str) -> None:
        self._choice = choice
        self._decode = decode
        self._folder = choice.models_dir / taesd if taesd else None
        self._show: Decode | None = None
        self._off = choice.kind == "off"

    def at(self, step: int, steps: int, latents: torch.Tensor) -> bytes | None:
        """A PNG after step `step` of `steps`, where one is due; the last step needs none, the picture follows.

        A preview that fails is left out, and so are those after it: the picture does not depend on it.
        """
        if self._off or step % self._choice.every or step == steps:
            return None
        try:
            return encode_png(_pixels(self._shown(latents.float())))
        except Exception as error:  # a preview is a convenience, whatever is wrong with it
            self._off = True
            _log.warning("previews are left out from here on: %s", error)
            return None

    def _shown(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents as a picture of shape (3, H, W). Raises `ValueError` where there is nothing to see."""
        if self._show is None:
            self._show = self._tiny_decoder(latents) or _projection(self._decode, latents)
        # Samplers that count in sigmas keep latents far larger than the VAE expects.
        picture = self._show(latents / max(1.0, float(latents.std())))[0].float()
        if not torch.isfinite(picture).all():
            raise ValueError("there are numbers beyond the precision in it")
        return picture

    def _tiny_decoder(self, latents: torch.Tensor) -> Decode | None:
        if self._choice.kind != "taesd" or self._folder is None or not list(self._folder.glob("*.safetensors")):
            return None
        try:
            with TemporaryDirectory(prefix="visioncraft-taesd-") as folder:
                files = component_files(self._folder, DIFFUSERS_STEM).files
                tiny: Any = diffusers.AutoencoderTiny.from_pretrained(
                    str(linked(files, Path(folder))), use_safetensors=True, local_files_only=True
                )
        except (OSError, ValueError, CheckpointRefused) as error:
            _log.warning("%s: cannot be used for previews, they are linear: %s", self._folder, error)
            return None
        if tiny.config.latent_channels != latents.shape[1]:
            return None
        tiny.to(latents.device)
        return lambda given: tiny.decode(given).sample


def _projection(decode: Decode, like: torch.Tensor) -> Decode:
    """The linear map from a latent's channels to a pixel's colour that fits this VAE best, by least squares."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, like.shape[1], _FIT_SIDE // 4, _FIT_SIDE // 4, generator=generator)
    sample = functional.interpolate(coarse, size=(_FIT_SIDE, _FIT_SIDE), mode="bilinear").to(like.device)
    colours = functional.adaptive_avg_pool2d(decode(sample).float(), _FIT_SIDE)
    if not torch.isfinite(colours).all():
        raise ValueError("the VAE gives numbers beyond its precision")
    rows = torch.cat([_rows(sample), torch.ones(_FIT_SIDE**2, 1, device=like.device)], dim=1)
    factors = torch.linalg.lstsq(rows.cpu(), _rows(colours).cpu()).solution.to(like.device)

    def show(latents: torch.Tensor) -> torch.Tensor:
        picture: torch.Tensor = torch.einsum("nchw,ck->nkhw", latents, factors[:-1]) + factors[-1].view(1, 3, 1, 1)
        return picture

    return show


def _rows(maps: torch.Tensor) -> torch.Tensor:
    """Shape (1, channels, h, w) to (h * w, channels)."""
    return maps[0].permute(1, 2, 0).reshape(-1, maps.shape[1])


def _pixels(picture: torch.Tensor) -> Any:
    """Shape (3, H, W) in -1 to 1 as uint8 pixels of at most `_SIDE` a side."""
    height, width = picture.shape[1:]
    scale = _SIDE / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = functional.interpolate(picture[None], size=size, mode="area" if scale < 1 else "nearest")[0]
    return (small / 2 + 0.5).clamp(0, 1).mul(255).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()

"""From latents to pixels, through the model's VAE."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from visioncraft import GenerationFailed

from visioncraft_local_sd.device.memory import TILE


class Decoder:
    """A model's VAE, from latents on.

    Args:
        vae: The diffusers autoencoder.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    def pixels(self, latents: torch.Tensor) -> np.ndarray:
        """The picture: uint8, (height, width, 3). Raises `GenerationFailed` where there is none."""
        image = self.image(latents)
        if not torch.isfinite(image).all() and self._vae.dtype != torch.float32:
            self._vae.to(torch.float32)  # some VAEs overflow fp16; diffusers upcasts them too
            image = self.image(latents)
        if not torch.isfinite(image).all():
            raise GenerationFailed("The VAE gave no picture but NaN; the checkpoint's VAE is damaged, use another one")
        pixels = (image[0].float() / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).contiguous().cpu().numpy()

    def image(self, latents: torch.Tensor) -> torch.Tensor:
        """The picture as the VAE gives it, about -1 to 1: (1, 3, height, width)."""
        vae = self._vae
        scaled = latents.float() / vae.config.scaling_factor
        if (shift := vae.config.get("shift_factor")) is not None:
            scaled = scaled + shift
        mean, std = vae.config.get("latents_mean"), vae.config.get("latents_std")
        if mean is not None and std is not None:
            spread = torch.tensor(std, device=scaled.device).view(1, -1, 1, 1)
            scaled = scaled * spread + torch.tensor(mean, device=scaled.device).view(1, -1, 1, 1)
        image: torch.Tensor = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        return image


def slice_vae(vae: Any) -> None:
    """Let a VAE decode in tiles: less memory, pictures that differ by a shade at tile borders."""
    vae.enable_slicing()
    vae.enable_tiling()
    # The default tile is the size the VAE was trained at, which for XL is a whole picture.
    if hasattr(vae, "tile_latent_min_size"):  # those of videos name it otherwise, and tile at 256 pixels
        vae.tile_sample_min_size = TILE
        vae.tile_latent_min_size = TILE // 2 ** (len(vae.config.block_out_channels) - 1)

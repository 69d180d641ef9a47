"""How latents lie in diffusers' own pipelines while they draw, and what a VAE makes of them; for previews."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from visioncraft import GenerationRequest

from visioncraft_local_sd.images.vae_decoder import Decoder

Unpack = Callable[[torch.Tensor, GenerationRequest, int], torch.Tensor]
"""From a pipeline's latents, its request and its pixels a latent to (1, channels, height, width)."""

Decode = Callable[[Any, torch.Tensor], torch.Tensor]
"""From a VAE and such latents to the picture in -1 to 1."""


def _grid(latents: torch.Tensor, request: GenerationRequest, scale: int) -> torch.Tensor:
    return latents


def _packed(latents: torch.Tensor, request: GenerationRequest, scale: int) -> torch.Tensor:
    """Tokens of 2x2 latents each."""
    height, width = request.height // (2 * scale), request.width // (2 * scale)
    channels = latents.shape[-1] // 4
    squares = latents[:, : height * width].view(1, height, width, channels, 2, 2)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(1, channels, 2 * height, 2 * width)


def _tokens(latents: torch.Tensor, request: GenerationRequest, scale: int) -> torch.Tensor:
    height, width = request.height // (2 * scale), request.width // (2 * scale)
    return latents[:, : height * width].transpose(1, 2).reshape(1, -1, height, width)


def _plain(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    return Decoder(vae).image(latents)


def _first_frame(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    mean, spread = (
        torch.tensor(vae.config[name], device=latents.device).view(1, -1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    frames = (latents.float() * spread + mean).to(vae.dtype).unsqueeze(2)
    image: torch.Tensor = vae.decode(frames, return_dict=False)[0][:, :, 0]
    return image


def _normalised(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """FLUX.2's VAE keeps what it normalises patches of 2x2 latents by."""
    mean, variance = (each.view(1, -1, 1, 1) for each in (vae.bn.running_mean, vae.bn.running_var))
    patches = latents * torch.sqrt(variance + vae.config.batch_norm_eps) + mean
    image: torch.Tensor = vae.decode(torch.nn.functional.pixel_shuffle(patches, 2).to(vae.dtype), return_dict=False)[0]
    return image


LATENTS: Mapping[str, tuple[Unpack, Decode]] = {
    "grid": (_grid, _plain),
    "packed": (_packed, _plain),
    "frames": (_packed, _first_frame),
    "patches": (_tokens, _normalised),
}
"""By the name of a layout; see `families.family.Stock`."""

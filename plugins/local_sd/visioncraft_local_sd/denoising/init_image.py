"""From a client's pictures to where a drawing begins, as diffusers' img2img and inpainting pipelines do it.

Random numbers are drawn in those pipelines' order (the encoder's sample, the noise, the masked picture's sample), so
that the same seed draws the same picture as they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from visioncraft import GenerationRequest, InputImage, decode_png

from visioncraft_local_sd.denoising.denoiser import DenoiserCall
from visioncraft_local_sd.denoising.run import DenoisingRun, Start

Refine = Callable[[DenoiserCall], DenoiserCall]


def pixels_of(image: InputImage) -> torch.Tensor:
    """As the VAE reads a picture, -1 to 1: fp32, (1, 3, height, width)."""
    return tensor_of(decode_png(image.png))


def tensor_of(pixels: np.ndarray) -> torch.Tensor:
    """As `pixels_of`, from uint8 of shape (height, width, 3)."""
    unit = torch.from_numpy(pixels.astype(np.float32) / 255.0)
    return 2.0 * unit.permute(2, 0, 1)[None] - 1.0


def mask_of(image: InputImage) -> torch.Tensor:
    """1 where the picture is drawn anew, else 0: fp32, (1, 1, height, width)."""
    grey = torch.from_numpy(decode_png(image.png)[..., 0].astype(np.float32) / 255.0)
    return (grey >= 0.5).float()[None, None]


def encoded(vae: Any, pixels: torch.Tensor, generator: torch.Generator, device: str) -> torch.Tensor:
    """Latents of a picture, scaled as the denoiser knows them: fp32, (1, channels, height, width).

    Args:
        device: Where the VAE computes, which is not always where it waits.
    """
    posterior = vae.encode(pixels.to(device, vae.dtype)).latent_dist
    latents: torch.Tensor = posterior.sample(generator).float()
    mean, std = vae.config.get("latents_mean"), vae.config.get("latents_std")
    if mean is not None and std is not None:
        latents = (latents - _by_channel(mean, latents)) / _by_channel(std, latents)
    if (shift := vae.config.get("shift_factor")) is not None:
        latents -= shift
    latents *= float(vae.config.scaling_factor)
    return latents


def start_of(
    request: GenerationRequest, vae: Any, inpaints: bool, generator: torch.Generator, device: str
) -> Start | None:
    """Where a request's drawing begins; None for noise alone.

    Args:
        inpaints: Whether the denoiser reads the mask itself; any other has what the mask leaves put back after each
            step.
    """
    if request.init_image is None:
        return None
    alone = request.mask is not None and request.strength == 1
    if alone and inpaints:
        return None
    latents = encoded(vae, pixels_of(request.init_image), generator, device)
    if request.mask is None or inpaints:
        return Start(latents, request.strength)
    mask = torch.nn.functional.interpolate(mask_of(request.mask), size=latents.shape[-2:]).to(latents.device)
    return Start(latents, request.strength, _put_back(latents, mask), noise_only=alone)


def seen_by(request: GenerationRequest, vae: Any, generator: torch.Generator, device: str) -> Refine:
    """What a denoiser for inpainting reads beside the latents: the mask, and what it leaves of the picture.

    Without a mask everything is drawn anew.
    """
    picture = torch.zeros(1, 3, request.height, request.width)
    mask = torch.ones(1, 1, request.height, request.width)
    if request.init_image is not None and request.mask is not None:
        mask = mask_of(request.mask)
        picture = pixels_of(request.init_image) * (mask < 0.5)
    left = encoded(vae, picture, generator, device)
    further = torch.cat([torch.nn.functional.interpolate(mask, size=left.shape[-2:]).to(left.device), left], dim=1)
    return lambda ask: replace(ask, latents=torch.cat([ask.latents, further], dim=1))


def _put_back(latents: torch.Tensor, mask: torch.Tensor) -> Callable[[DenoisingRun], None]:
    """After every step, what the mask leaves becomes the picture again, with the noise of the step to come."""

    def put_back(sampling: DenoisingRun) -> None:
        kept = latents if sampling.ended else sampling.noised(latents)
        sampling.latents = (1 - mask) * kept + mask * sampling.latents

    return put_back


def _by_channel(values: Any, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, device=like.device).view(1, -1, 1, 1)

"""Stable Diffusion 1.x, 2.x and XL."""

from __future__ import annotations

from typing import Any

import torch
from visioncraft import GenerationRequest

from visioncraft_local_sd.denoising.denoiser import Branch
from visioncraft_local_sd.denoising.init_image import Refine, encoded, seen_by, start_of
from visioncraft_local_sd.denoising.run import DenoisingRun, Start
from visioncraft_local_sd.denoising.schedulers import build_scheduler, name_of
from visioncraft_local_sd.denoising.unet import UNet
from visioncraft_local_sd.images.vae_decoder import Decoder
from visioncraft_local_sd.text.encoder import TextEncoder
from visioncraft_local_sd.text.textual_inversion import TextualInversions
from visioncraft_local_sd.weights.add_ons import AddOns


class StableDiffusion:
    """See `Drawing`.

    Args:
        pipe: The diffusers pipeline.
        parts: Finds words that were learned from pictures.
        device: `cuda` or `cpu`.
    """

    def __init__(self, pipe: Any, parts: AddOns, device: str) -> None:
        self._pipe, self._device = pipe, device
        self.caller = UNet(pipe.unet)
        words = TextualInversions(pipe, parts.words)
        self._encoder = TextEncoder(pipe, pipe.unet.dtype, words, parts.state_of_texts)
        self._decoder = Decoder(pipe.vae)
        self._inpaints = bool(pipe.unet.config.in_channels > pipe.unet.config.out_channels)
        self.image, self.pixels = self._decoder.image, self._decoder.pixels

    def encode(self, request: GenerationRequest) -> tuple[Branch, ...]:
        return self._encoder.encode(request)

    def guided(self, request: GenerationRequest) -> bool:
        return self._encoder.guided(request)

    def start(self, request: GenerationRequest, generator: torch.Generator) -> Start | None:
        return start_of(request, self._pipe.vae, self._inpaints, generator, self._device)

    def begin(
        self,
        request: GenerationRequest,
        branches: tuple[Branch, ...],
        generator: torch.Generator,
        start: Start | None,
    ) -> DenoisingRun:
        shape = (1, self._pipe.unet.config.out_channels, *self._grid(request.width, request.height))
        return DenoisingRun(
            scheduler=build_scheduler(request.sampler, self._pipe.scheduler),
            steps=request.num_inference_steps,
            guidance=request.guidance_scale,
            branches=branches,
            noise=torch.randn(shape, generator=generator, dtype=torch.float32),
            generator=generator,
            device=self._device,
            start=start,
        )

    def refine(self, request: GenerationRequest, generator: torch.Generator) -> Refine | None:
        return seen_by(request, self._pipe.vae, generator, self._device) if self._inpaints else None

    def encoded(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return encoded(self._pipe.vae, pixels, generator, self._device)

    def larger(self, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
        return torch.nn.functional.interpolate(latents, size=self._grid(width, height), mode="bilinear")

    def sampler(self, scheduler: Any) -> str:
        return name_of(scheduler)

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        """Height and width of the latents."""
        scale = self._pipe.vae_scale_factor
        return height // scale, width // scale

"""What the loop that draws asks of a family: texts to tensors, a run through the steps, latents to pixels."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from visioncraft import GenerationRequest

from visioncraft_local_sd.denoising.denoiser import Branch, Caller
from visioncraft_local_sd.denoising.init_image import Refine
from visioncraft_local_sd.denoising.run import DenoisingRun, Start


class Drawing(Protocol):
    """One loaded model of a family. Its methods are called in the thread that computes."""

    @property
    def caller(self) -> Caller:
        """How its network is called: the predictions for many rows at once."""

    def encode(self, request: GenerationRequest) -> tuple[Branch, ...]:
        """What the network is told: the negative branch first where guidance is on."""

    def guided(self, request: GenerationRequest) -> bool:
        """Whether the negative prompt says anything."""

    def start(self, request: GenerationRequest, generator: torch.Generator) -> Start | None:
        """Where a drawing begins that has a picture to start from; None for noise alone."""

    def begin(
        self,
        request: GenerationRequest,
        branches: tuple[Branch, ...],
        generator: torch.Generator,
        start: Start | None,
    ) -> DenoisingRun:
        """A run through the steps: its own sampler, noise, and what guidance means here."""

    def refine(self, request: GenerationRequest, generator: torch.Generator) -> Refine | None:
        """What else the network is told at every step; None for nothing."""

    def encoded(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Latents of a picture of -1 to 1."""

    def larger(self, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
        """Latents enlarged to those of a picture of so many pixels."""

    def image(self, latents: torch.Tensor) -> torch.Tensor:
        """The picture as the VAE gives it, about -1 to 1: (1, 3, height, width)."""

    def pixels(self, latents: torch.Tensor) -> np.ndarray:
        """The picture: uint8, (height, width, 3). Raises `GenerationFailed` where there is none."""

    def sampler(self, scheduler: Any) -> str:
        """The common name of a sampler."""

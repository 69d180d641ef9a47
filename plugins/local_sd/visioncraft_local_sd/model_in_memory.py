"""What a model in memory is to the generator, however it draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from visioncraft import GenerationRequest, Progress

from visioncraft_local_sd.batching.engine import Engine, Work
from visioncraft_local_sd.device.memory import Footprint, MemoryMode, give_back
from visioncraft_local_sd.families.family import Family
from visioncraft_local_sd.images.upscaling import Upscalers
from visioncraft_local_sd.images.vae_decoder import slice_vae
from visioncraft_local_sd.loras.merged import LoRAs
from visioncraft_local_sd.weights.add_ons import AddOns

DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
"""Precisions by their names in settings."""

NAMES: Mapping[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}


class ModelInMemory(ABC):
    """A pipeline in memory. Weights are shared by all runs; a run has its own sampler and state.

    Args:
        pipe: The diffusers pipeline.
        family: Of its models.
        engine: Computes.
        device: `cuda` or `cpu`.
        mode: The memory mode in force.
        footprint: What it takes.
        parts: Finds what else it can draw with.
    """

    def __init__(
        self,
        pipe: Any,
        family: Family,
        engine: Engine,
        device: str,
        mode: MemoryMode,
        footprint: Footprint,
        parts: AddOns,
    ) -> None:
        self.pipe, self.device, self.mode, self.footprint = pipe, device, mode, footprint
        self._engine = engine
        # asked once: diffusers walks through all parameters for it
        self._dtype: torch.dtype = getattr(pipe, family.denoiser).dtype
        self._loras = LoRAs(pipe, partial(parts.find, "lora"))
        self._upscalers = Upscalers(partial(parts.find, "upscaler"), device)

    @property
    def resident_gb(self) -> float:
        """Device memory of its weights, in GB."""
        return self.footprint.resident_gb(self.mode)

    @property
    def precision(self) -> str:
        """The denoiser's precision, and the VAE's where that differs: `bf16`, `fp16 (vae fp32)`."""
        denoiser, vae = NAMES[self._dtype], NAMES[self.pipe.vae.dtype]
        return denoiser if denoiser == vae else f"{denoiser} (vae {vae})"

    def untold(self, request: GenerationRequest) -> tuple[str, ...]:
        """What of a request says nothing to this model, a sentence each."""
        if not request.negative_prompt.strip() or self._guided(request):
            return ()
        return ("the negative prompt says nothing here: guidance is off at 1 and below, and in some distilled models",)

    def spare(self) -> None:  # noqa: B027  # there need not be any
        """Give back the device memory that only makes it faster."""

    def use_slices(self) -> None:
        """Let the VAE decode in tiles from now on: less memory, pictures that differ by a shade at tile borders."""
        if self.mode == "full":
            slice_vae(self.pipe.vae)
            self.mode = "slicing"

    def close(self) -> None:
        """Give the memory back."""
        with torch.inference_mode():  # some weights were converted in it, and cannot be put back outside
            self.pipe.remove_all_hooks()
        device = self.device
        vars(self).clear()
        give_back(device)

    def draw(self, request: GenerationRequest, progress: Progress) -> tuple[np.ndarray, str]:
        """Draw one picture, in turns with whatever else is drawn.

        Returns the pixels, uint8 of shape (height, width, 3), and the sampler's common name. Raises `JobCancelled`
        within a step of a cancel; the model stays usable.
        """
        return self._engine.run(self._work(request, progress))

    @abstractmethod
    def _work(self, request: GenerationRequest, progress: Progress) -> Work[tuple[np.ndarray, str]]:
        """What the engine computes for one picture."""

    @abstractmethod
    def _guided(self, request: GenerationRequest) -> bool:
        """Whether the negative prompt says anything."""

    def _enlarged(self, pixels: np.ndarray, request: GenerationRequest, progress: Progress) -> np.ndarray:
        """The finished picture, larger where the request says so."""
        if request.upscaler is None:
            return pixels
        progress.stage("enlarging")
        return self._upscalers.enlarge(pixels, request.upscaler, *request.enlarged_size, "upscaler")

"""A checkpoint in memory, which draws for several threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import diffusers
import numpy as np
import torch
from visioncraft import GenerationFailed, GenerationRequest, Hires, JobCancelled, Progress

from visioncraft_local_sd.batching.engine import Engine, Work
from visioncraft_local_sd.batching.limits import BatchLimits
from visioncraft_local_sd.compiling.cuda_graphs import Graphs
from visioncraft_local_sd.compiling.network import CompileChoice
from visioncraft_local_sd.denoising.denoiser import Denoiser, DenoiserCall
from visioncraft_local_sd.denoising.init_image import Refine, encoded, seen_by, start_of, tensor_of
from visioncraft_local_sd.denoising.run import DenoisingRun, Start
from visioncraft_local_sd.denoising.schedulers import build_scheduler, name_of
from visioncraft_local_sd.denoising.variants import Denoisers
from visioncraft_local_sd.device.measurements import Measurements
from visioncraft_local_sd.device.memory import Footprint, MemoryMode, free_gb, give_back
from visioncraft_local_sd.images.preview import PreviewChoice, Previewer
from visioncraft_local_sd.images.upscaling import Upscalers
from visioncraft_local_sd.images.vae_decoder import Decoder, slice_vae
from visioncraft_local_sd.loras.merged import LoRAs
from visioncraft_local_sd.text.encoder import TextEncoder
from visioncraft_local_sd.text.textual_inversion import TextualInversions
from visioncraft_local_sd.weights.add_ons import AddOns

DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
"""Precisions by their names in settings."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class LoadedModel:
    """A pipeline in memory. Weights are shared by all runs; a run has its own sampler and state.

    Args:
        pipe: The diffusers pipeline.
        engine: Computes.
        device: `cuda` or `cpu`.
        mode: The memory mode in force.
        footprint: What it takes.
        preview: What settings want shown of a picture while it is drawn.
        choices: Where it is kept how many rows share a denoiser call.
        parts: Finds what else it can draw with.
        compiling: What settings say of compiling the denoiser.
    """

    def __init__(
        self,
        pipe: Any,
        engine: Engine,
        device: str,
        mode: MemoryMode,
        footprint: Footprint,
        preview: PreviewChoice,
        choices: Measurements,
        parts: AddOns,
        compiling: CompileChoice,
    ) -> None:
        self.pipe, self.device, self.mode, self.footprint = pipe, device, mode, footprint
        self._engine = engine
        self._dtype: torch.dtype = pipe.unet.dtype  # asked once: diffusers walks through all parameters for it
        self._encoder = TextEncoder(pipe, self._dtype, TextualInversions(pipe, parts.words), parts.state_of_texts)
        self._loras = LoRAs(pipe, partial(parts.find, "lora"))
        self._upscalers = Upscalers(partial(parts.find, "upscaler"), device)
        settle = torch.cuda.synchronize if device == "cuda" else None
        bounds = BatchLimits(choices, self.precision, self._room, settle, engine.settled_threads)
        stays = mode in ("full", "slicing")  # elsewhere layers come and go
        self._network = compiling.network(pipe.unet, device, self._room) if stays else None
        find = partial(parts.find, "controlnet")
        self._denoisers = Denoisers(pipe.unet, bounds, self._loras, find, device, self._network)
        self._decoder = Decoder(pipe.vae)
        xl = isinstance(pipe, diffusers.StableDiffusionXLPipeline)
        self._previewer = Previewer(preview, self._decoder.image, xl)

    @property
    def resident_gb(self) -> float:
        """Device memory of its weights, in GB."""
        return self.footprint.resident_gb(self.mode)

    @property
    def precision(self) -> str:
        """The denoiser's precision, and the VAE's where that differs: `bf16`, `fp16 (vae fp32)`."""
        unet, vae = _NAMES[self._dtype], _NAMES[self.pipe.vae.dtype]
        return unet if unet == vae else f"{unet} (vae {vae})"

    def untold(self, request: GenerationRequest) -> tuple[str, ...]:
        """What of a request says nothing to this model, a sentence each."""
        if not request.negative_prompt.strip() or self._encoder.guided(request):
            return ()
        return ("the negative prompt says nothing here: guidance is off at 1 and below, and in some distilled models",)

    def spare(self) -> None:
        """Give back the device memory that only makes it faster."""
        if isinstance(self._network, Graphs) and self._network.recorded:
            self._engine.call(self._network.close)
            give_back(self.device)

    def use_slices(self) -> None:
        """Let the VAE decode in tiles from now on: less memory, pictures that differ by a shade at tile borders."""
        if self.mode == "full":
            slice_vae(self.pipe.vae)
            self.mode = "slicing"

    def close(self) -> None:
        """Give the memory back."""
        if self._network is not None:
            self._network.close()
        with torch.inference_mode():  # some weights were converted in it, and cannot be put back outside
            self.pipe.remove_all_hooks()
        del (
            self.pipe,
            self._network,
            self._encoder,
            self._loras,
            self._denoisers,
            self._upscalers,
            self._decoder,
            self._previewer,
        )
        give_back(self.device)

    def draw(self, request: GenerationRequest, progress: Progress) -> tuple[np.ndarray, str]:
        """Draw one picture, sharing denoiser calls with whatever else is drawn with this model.

        Returns the pixels, uint8 of shape (height, width, 3), and the sampler's common name. Raises `JobCancelled`
        within a step of a cancel; the model stays usable.
        """
        return self._engine.run(self._drawing(request, progress))

    def _drawing(self, request: GenerationRequest, progress: Progress) -> Work[tuple[np.ndarray, str]]:
        progress.stage("encoding prompt")
        generator = torch.Generator("cpu").manual_seed(request.seed)
        with self._loras.held(request.loras):
            denoiser = self._denoisers.get(request)
            start = start_of(request, self.pipe.vae, self._inpaints, generator, self.device)
            sampling = self._begin(request, generator, start)
            refine = self._refined(request, denoiser, generator)
            latents = yield from self._denoise(sampling, denoiser, refine, progress, 0)
            if request.hires is not None:
                latents = yield from self._second_pass(request, request.hires, latents, generator, progress)
        progress.stage("decoding")
        pixels = self._decode(latents)
        if request.upscaler is not None:
            progress.stage("enlarging")
            width, height = (round(side * request.upscale) for side in request.hires_size)
            pixels = self._upscalers.enlarge(pixels, request.upscaler, width, height, "upscaler")
        self.pipe.maybe_free_model_hooks()
        return pixels, name_of(sampling.scheduler)

    @property
    def _inpaints(self) -> bool:
        return bool(self.pipe.unet.config.in_channels > self.pipe.unet.config.out_channels)

    def _room(self, height: int, width: int) -> int:
        return int(free_gb(self.device) / self.footprint.row_gb(height, width))

    def _begin(self, request: GenerationRequest, generator: torch.Generator, start: Start | None) -> DenoisingRun:
        self._loras.activate(request.loras)  # the text encoder has LoRAs too
        scale = self.pipe.vae_scale_factor
        shape = (1, self.pipe.unet.config.out_channels, request.height // scale, request.width // scale)
        return DenoisingRun(
            scheduler=build_scheduler(request.sampler, self.pipe.scheduler),
            steps=request.num_inference_steps,
            guidance=request.guidance_scale,
            branches=self._encoder.encode(request),
            noise=torch.randn(shape, generator=generator, dtype=torch.float32),
            generator=generator,
            device=self.device,
            start=start,
        )

    def _refined(self, request: GenerationRequest, denoiser: Denoiser, generator: torch.Generator) -> Refine:
        """What else the denoiser is told at every step."""
        refine = seen_by(request, self.pipe.vae, generator, self.device) if self._inpaints else _as_it_is
        if request.controlnet is None:
            return refine
        condition = denoiser.condition(request.controlnet, request.width, request.height)
        return lambda ask: replace(refine(ask), condition=condition)

    def _second_pass(
        self,
        request: GenerationRequest,
        hires: Hires,
        latents: torch.Tensor,
        generator: torch.Generator,
        progress: Progress,
    ) -> Work[torch.Tensor]:
        """Enlarge what was drawn and draw over it."""
        width, height = request.hires_size
        larger = replace(
            request, width=width, height=height, num_inference_steps=hires.steps or request.num_inference_steps
        )
        if hires.upscaler is None:
            scale = self.pipe.vae_scale_factor
            size = (height // scale, width // scale)
            enlarged = torch.nn.functional.interpolate(latents, size=size, mode="bilinear")
        else:
            progress.stage("enlarging")
            pixels = self._upscalers.enlarge(self._decode(latents), hires.upscaler, width, height, "hires.upscaler")
            enlarged = encoded(self.pipe.vae, tensor_of(pixels), generator, self.device)
        denoiser = self._denoisers.get(larger)
        sampling = self._begin(larger, generator, Start(enlarged, hires.strength))
        refine = self._refined(larger, denoiser, generator)
        return (yield from self._denoise(sampling, denoiser, refine, progress, request.num_inference_steps))

    def _denoise(
        self, sampling: DenoisingRun, denoiser: Denoiser, refine: Refine, progress: Progress, before: int
    ) -> Work[torch.Tensor]:
        """Take every step, each in a call shared with others. `before` steps were taken by an earlier pass."""
        reported = 0
        while not sampling.ended:
            sampling.advance((yield refine(sampling.ask(denoiser))))
            if sampling.done > reported:
                reported = sampling.done
                preview = self._previewer.at(reported, sampling.steps, sampling.latents)
                progress.step(before + reported, before + sampling.steps, preview)
            elif progress.cancelled:
                raise JobCancelled()
        return sampling.latents

    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        if not torch.isfinite(latents).all():
            raise GenerationFailed(
                f"The denoiser gave numbers beyond {_NAMES[self._dtype]}; set plugins.config.local_sd.dtype to fp32"
            )
        return self._decoder.pixels(latents)


def _as_it_is(ask: DenoiserCall) -> DenoiserCall:
    return ask

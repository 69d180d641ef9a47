"""A model in memory that draws in our loop, for several threads."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from visioncraft import GenerationFailed, GenerationRequest, Hires, JobCancelled, Progress

from visioncraft_local_sd.batching.engine import Engine, Work
from visioncraft_local_sd.batching.limits import BatchLimits
from visioncraft_local_sd.compiling.cuda_graphs import Graphs
from visioncraft_local_sd.compiling.network import CompileChoice
from visioncraft_local_sd.denoising.denoiser import Denoiser, DenoiserCall
from visioncraft_local_sd.denoising.init_image import Refine, tensor_of
from visioncraft_local_sd.denoising.run import DenoisingRun, Start
from visioncraft_local_sd.denoising.variants import Denoisers
from visioncraft_local_sd.device.measurements import Measurements
from visioncraft_local_sd.device.memory import Footprint, MemoryMode, free_gb, give_back
from visioncraft_local_sd.drawing.table import DRAWINGS
from visioncraft_local_sd.families.family import Family
from visioncraft_local_sd.images.preview import PreviewChoice, Previewer
from visioncraft_local_sd.model_in_memory import NAMES, ModelInMemory
from visioncraft_local_sd.weights.add_ons import AddOns


class LoadedModel(ModelInMemory):
    """A model whose network's calls images share; see `ModelInMemory`.

    Args:
        preview: What settings want shown of a picture while it is drawn.
        choices: Where it is kept how many rows share a denoiser call.
        compiling: What settings say of compiling the denoiser.
    """

    def __init__(
        self,
        pipe: Any,
        family: Family,
        engine: Engine,
        device: str,
        mode: MemoryMode,
        footprint: Footprint,
        preview: PreviewChoice,
        choices: Measurements,
        parts: AddOns,
        compiling: CompileChoice,
    ) -> None:
        super().__init__(pipe, family, engine, device, mode, footprint, parts)
        self._drawing = DRAWINGS[family.name](pipe, parts, device)
        denoiser = self._drawing.caller.network
        settle = torch.cuda.synchronize if device == "cuda" else None
        bounds = BatchLimits(choices, self.precision, self._room, settle, engine.settled_threads)
        stays = family.compiles and mode in ("full", "slicing")  # elsewhere layers come and go
        self._network = compiling.network(denoiser, device, self._room) if stays else None
        find = partial(parts.find, "controlnet")
        self._denoisers = Denoisers(self._drawing.caller, bounds, self._loras, find, device, self._network)
        self._previewer = Previewer(preview, self._drawing.image, family.taesd)

    def spare(self) -> None:
        """Give back the device memory that only makes it faster."""
        if isinstance(self._network, Graphs) and self._network.recorded:
            self._engine.call(self._network.close)
            give_back(self.device)

    def close(self) -> None:
        """Give the memory back."""
        if self._network is not None:
            self._network.close()
        super().close()

    def _work(self, request: GenerationRequest, progress: Progress) -> Work[tuple[np.ndarray, str]]:
        progress.stage("encoding prompt")
        generator = torch.Generator("cpu").manual_seed(request.seed)
        with self._loras.held(request.loras):
            denoiser = self._denoisers.get(request)
            start = self._drawing.start(request, generator)
            sampling = self._begin(request, generator, start)
            refine = self._refined(request, denoiser, generator)
            latents = yield from self._denoise(sampling, denoiser, refine, progress, 0)
            if request.hires is not None:
                latents = yield from self._second_pass(request, request.hires, latents, generator, progress)
        progress.stage("decoding")
        pixels = self._decode(latents)
        pixels = self._enlarged(pixels, request, progress)
        self.pipe.maybe_free_model_hooks()
        return pixels, self._drawing.sampler(sampling.scheduler)

    def _guided(self, request: GenerationRequest) -> bool:
        return self._drawing.guided(request)

    def _room(self, height: int, width: int) -> int:
        return int(free_gb(self.device) / self.footprint.row_gb(height, width))

    def _begin(self, request: GenerationRequest, generator: torch.Generator, start: Start | None) -> DenoisingRun:
        self._loras.activate(request.loras)  # the text encoder has LoRAs too
        return self._drawing.begin(request, self._drawing.encode(request), generator, start)

    def _refined(self, request: GenerationRequest, denoiser: Denoiser, generator: torch.Generator) -> Refine:
        """What else the denoiser is told at every step."""
        refine = self._drawing.refine(request, generator) or _as_it_is
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
            enlarged = self._drawing.larger(latents, width, height)
        else:
            progress.stage("enlarging")
            pixels = self._upscalers.enlarge(self._decode(latents), hires.upscaler, width, height, "hires.upscaler")
            enlarged = self._drawing.encoded(tensor_of(pixels), generator)
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
                f"The denoiser gave numbers beyond {NAMES[self._dtype]}; set plugins.config.local_sd.dtype to fp32"
            )
        return self._drawing.pixels(latents)


def _as_it_is(ask: DenoiserCall) -> DenoiserCall:
    return ask

"""A model that diffusers' own pipeline draws: one image at a time, a step in turn with whatever else is drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import diffusers
import numpy as np
import torch
from visioncraft import GenerationFailed, GenerationRequest, JobCancelled, Progress, decode_png, whole_text

from visioncraft_local_sd.batching.engine import Engine, Work
from visioncraft_local_sd.batching.stepwise import Stepwise
from visioncraft_local_sd.denoising.flow import flow_sampler, flow_scheduler
from visioncraft_local_sd.device.memory import Footprint, MemoryMode
from visioncraft_local_sd.drawing.latents import LATENTS
from visioncraft_local_sd.families.family import Edition, Family, Stock
from visioncraft_local_sd.images.preview import PreviewChoice, Previewer
from visioncraft_local_sd.model_in_memory import ModelInMemory
from visioncraft_local_sd.weights.add_ons import AddOns

Pause = Callable[[torch.Tensor], None]


class StockModel(ModelInMemory):
    """See `ModelInMemory`.

    Args:
        stock: How its family's pipelines are called.
        edition: Which of its family's models it is.
        preview: What settings want shown of a picture while it is drawn.
    """

    def __init__(
        self,
        pipe: Any,
        family: Family,
        stock: Stock,
        edition: Edition,
        engine: Engine,
        device: str,
        mode: MemoryMode,
        footprint: Footprint,
        preview: PreviewChoice,
        parts: AddOns,
    ) -> None:
        super().__init__(pipe, family, engine, device, mode, footprint, parts)
        self._stock, self._edition = stock, edition
        self._unpack, decode = LATENTS[stock.latents]
        self._previewer = Previewer(preview, partial(decode, pipe.vae), family.taesd)

    def _guided(self, request: GenerationRequest) -> bool:
        return self._stock.negative and self._scaled(request)

    def _scaled(self, request: GenerationRequest) -> bool:
        """Whether guidance is on, and takes a second call of the network."""
        return request.guidance_scale > 1 and not self._edition.distilled and self._stock.off is not None

    def _work(self, request: GenerationRequest, progress: Progress) -> Work[tuple[np.ndarray, str]]:
        progress.stage("encoding prompt")
        scheduler = flow_scheduler(request.sampler, self.pipe.scheduler)
        with self._loras.held(request.loras):
            own = self._pipeline(request, scheduler)
            drawing = Stepwise(partial(self._call, own, request), partial(self._loras.activate, request.loras))
            try:
                pixels = yield from self._steps(drawing, own, request, progress)
            finally:
                drawing.close()
                self.pipe.maybe_free_model_hooks()
        return self._enlarged(pixels, request, progress), flow_sampler(scheduler)

    def _steps(
        self, drawing: Stepwise[torch.Tensor, np.ndarray], own: Any, request: GenerationRequest, progress: Progress
    ) -> Work[np.ndarray]:
        taken = 0
        while (latents := (yield drawing)) is not None:
            taken += 1
            steps = own.num_timesteps
            shown = self._unpack(latents, request, self.pipe.vae_scale_factor)
            progress.step(taken, steps, self._previewer.at(taken, steps, shown))
            if progress.cancelled:
                raise JobCancelled()
        (pixels,) = drawing.results
        return pixels

    def _pipeline(self, request: GenerationRequest, scheduler: Any) -> Any:
        """A pipeline of its own, since one keeps what it is asked in itself; the networks in it are everybody's."""
        name = type(self.pipe).__name__
        if request.init_image is not None:
            name = self._stock.mask if request.mask is not None else self._stock.image
        kind: Any = getattr(diffusers, name)
        there = {**self.pipe.config, **self.pipe.components, "scheduler": scheduler}
        own = kind(**{part: there[part] for part in signature(kind.__init__).parameters if part in there})
        own.set_progress_bar_config(disable=True)
        return own

    def _call(self, own: Any, request: GenerationRequest, pause: Pause) -> np.ndarray:
        def told(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            pause(tensors["latents"])
            return tensors

        (drawn,) = own(**self._arguments(request), callback_on_step_end=told, output_type="np").images
        if not np.isfinite(drawn).all():
            raise GenerationFailed("The model gave no picture but NaN; set plugins.config.local_sd.dtype to fp32")
        return np.asarray((drawn * 255).round().clip(0, 255), dtype=np.uint8)

    def _arguments(self, request: GenerationRequest) -> dict[str, Any]:
        """What the pipeline is asked."""
        scaled, off = self._scaled(request), self._stock.off
        asked: dict[str, Any] = {
            "prompt": whole_text(request.prompt),
            "width": request.width,
            "height": request.height,
            "num_inference_steps": request.num_inference_steps,
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            self._stock.guidance: request.guidance_scale if scaled or off is None else off,
            **self._edition.options,
        }
        if self._guided(request):
            asked["negative_prompt"] = whole_text(request.negative_prompt).strip() or self._stock.nothing
        if request.init_image is not None:
            asked |= {"image": _picture(request.init_image.png), "strength": request.strength}
        if request.mask is not None:
            asked["mask_image"] = _picture(request.mask.png)
        return asked


def _picture(png: bytes) -> Any:
    from PIL import Image

    return Image.fromarray(decode_png(png))

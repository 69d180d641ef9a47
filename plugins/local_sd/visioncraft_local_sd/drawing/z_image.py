"""Z-Image: noise and text in one sequence of tokens, texts of any length side by side.

The network counts time from 0 in noise to 1, and says the way from the image to noise; guidance is measured from the
text's own prediction, so that the scales of its makers' pages draw what they show.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from visioncraft import GenerationRequest, whole_text

from visioncraft_local_sd.denoising.controlnet import ControlNet
from visioncraft_local_sd.denoising.denoiser import Branch, Row
from visioncraft_local_sd.denoising.flow import FlowRun, flow_sampler, flow_scheduler, shift_of
from visioncraft_local_sd.denoising.init_image import Refine, encoded, start_of
from visioncraft_local_sd.denoising.run import DenoisingRun, Start
from visioncraft_local_sd.images.vae_decoder import Decoder
from visioncraft_local_sd.text.kept import Kept
from visioncraft_local_sd.weights.add_ons import AddOns

_TEXTS = 32  # one of 512 tokens takes 2.5 MB in bf16
_PATCH = 2  # latents a token has, by side
_TIMES = 1000


@dataclass(frozen=True, slots=True)
class Words:
    """What one branch tells the network: a text's tokens, (tokens, channels), in the network's precision."""

    tokens: torch.Tensor

    @property
    def key(self) -> Hashable:
        """Texts of different lengths share calls: the network pads them, and looks past the padding."""
        return None


class ZImageCaller:
    """How the network is called; see `Caller`.

    Args:
        network: diffusers' `ZImageTransformer2DModel`.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self._dtype: torch.dtype = network.dtype

    def embedded(self, guidance: float) -> torch.Tensor | None:
        return None

    def __call__(
        self, rows: Sequence[Row[Words]], network: Callable[..., Any], control: ControlNet | None
    ) -> torch.Tensor:
        latents = torch.cat([row.call.latents for row in rows]).to(self._dtype)
        times = (_TIMES - torch.stack([row.call.timestep for row in rows])) / _TIMES
        texts = [row.branch.tokens for row in rows]
        answers = network(list(latents.unsqueeze(2).unbind(0)), times, texts, return_dict=False)[0]
        return -torch.stack([answer.float() for answer in answers]).squeeze(2)


def past_told(without: torch.Tensor, told: torch.Tensor, scale: float) -> torch.Tensor:
    """Guidance that goes past the text's own prediction: the scale counts what is added to it."""
    return told + scale * (told - without)


class ZImage:
    """See `Drawing`.

    Args:
        pipe: diffusers' `ZImagePipeline`.
        parts: Nothing of it is used.
        device: `cuda` or `cpu`.
    """

    def __init__(self, pipe: Any, parts: AddOns, device: str) -> None:
        self._pipe, self._device = pipe, device
        self.caller = ZImageCaller(pipe.transformer)
        self._dtype: torch.dtype = pipe.transformer.dtype
        self._texts: Kept[Words] = Kept(_TEXTS)
        decoder = Decoder(pipe.vae)
        self.image, self.pixels = decoder.image, decoder.pixels

    def encode(self, request: GenerationRequest) -> tuple[Branch, ...]:
        texts = [request.negative_prompt, request.prompt] if self.guided(request) else [request.prompt]
        return tuple(self._texts.get(text, partial(self._encoded, text)) for text in texts)

    def guided(self, request: GenerationRequest) -> bool:
        return request.guidance_scale > 1

    def start(self, request: GenerationRequest, generator: torch.Generator) -> Start | None:
        return start_of(request, self._pipe.vae, False, generator, self._device)

    def begin(
        self,
        request: GenerationRequest,
        branches: tuple[Branch, ...],
        generator: torch.Generator,
        start: Start | None,
    ) -> DenoisingRun:
        height, width = self._grid(request.width, request.height)
        return FlowRun(
            shift=shift_of(self._pipe.scheduler, (height // _PATCH) * (width // _PATCH)),
            scheduler=flow_scheduler(request.sampler, self._pipe.scheduler),
            steps=request.num_inference_steps,
            guidance=request.guidance_scale,
            branches=branches,
            noise=torch.randn((1, self._pipe.transformer.in_channels, height, width), generator=generator),
            generator=generator,
            device=self._device,
            start=start,
            guide=past_told,
        )

    def refine(self, request: GenerationRequest, generator: torch.Generator) -> Refine | None:
        return None

    def encoded(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return encoded(self._pipe.vae, pixels, generator, self._device)

    def larger(self, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
        return torch.nn.functional.interpolate(latents, size=self._grid(width, height), mode="bilinear")

    def sampler(self, scheduler: Any) -> str:
        return flow_sampler(scheduler)

    def _encoded(self, text: str) -> Words:
        told, _ = self._pipe.encode_prompt(whole_text(text), self._pipe._execution_device, False)
        return Words(told[0].to(self._dtype))

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        """Height and width of the latents."""
        scale = self._pipe.vae_scale_factor
        return height // scale, width // scale

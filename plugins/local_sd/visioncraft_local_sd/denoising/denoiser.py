"""One call of the denoiser for many requests, whatever their steps, guidance, sampler or time of arrival."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.embeddings import get_timestep_embedding
from visioncraft import Control

from visioncraft_local_sd.batching.limits import BatchLimits
from visioncraft_local_sd.denoising.controlnet import Condition, ControlNet
from visioncraft_local_sd.device.memory import is_out_of_memory
from visioncraft_local_sd.text.encoder import Conditioning


@dataclass(frozen=True, slots=True)
class DenoiserCall:
    """One request's part of a denoiser call.

    Args:
        denoiser: The denoiser to ask.
        latents: Scaled as its sampler wants them: fp32, (1, channels, height, width).
        timestep: Where it is, of no dimension.
        branches: The negative branch and the text's, or the text's alone where guidance is off.
        guidance: For denoisers that take it as an input, embedded: (1, channels).
        condition: What the denoiser's ControlNet follows, where it has one.
    """

    denoiser: Denoiser
    latents: torch.Tensor
    timestep: torch.Tensor
    branches: tuple[Conditioning, ...]
    guidance: torch.Tensor | None = None
    condition: Condition | None = None

    @property
    def key(self) -> Hashable:
        """Calls of one denoiser whose tensors stack."""
        return (id(self.denoiser), self.latents.shape, self.branches[0].embeddings.shape)

    @property
    def weight(self) -> int:
        """Its rows."""
        return len(self.branches)

    @property
    def bound(self) -> int:
        """At most so many rows together."""
        return self.denoiser.bounds.rows(*self._size)

    def together(self, calls: Sequence[DenoiserCall]) -> Sequence[torch.Tensor]:
        """The predictions for each: fp32, (branches, channels, height, width)."""
        return self.denoiser.predict(calls)

    def crowded(self, weight: int, error: Exception) -> None:
        """So many rows together failed: fewer from now on where memory ran out."""
        if is_out_of_memory(error):
            self.denoiser.bounds.crowded(*self._size, weight)

    @property
    def _size(self) -> tuple[int, int]:
        height, width = self.latents.shape[2:]
        return height, width


class Denoiser:
    """A model's UNet.

    Args:
        unet: The network; latents and predictions are fp32 whatever it computes in.
        bounds: How many rows a call may have.
        ready: Called before each call: switches the network to what this denoiser is for.
        edited: Whether it is for LoRAs or a ControlNet: such calls take longer, and teach nobody what a call takes.
        control: A ControlNet beside it.
        network: What is called in the network's place.
        pace: Called after each call, where a call returns before it is done; see `pace.Pace`.
    """

    def __init__(
        self,
        unet: Any,
        bounds: BatchLimits,
        ready: Callable[[], None] | None = None,
        edited: bool = False,
        control: ControlNet | None = None,
        network: Callable[..., Any] | None = None,
        pace: Callable[[], None] | None = None,
    ) -> None:
        self.bounds = bounds
        self._ready, self._edited, self._control = ready, edited, control
        self._unet, self._network = unet, network or unet
        self._pace = pace
        self._guidance_width: int | None = unet.config.time_cond_proj_dim
        self._dtype: torch.dtype = unet.dtype  # asked once: diffusers walks through all parameters for it
        last = unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        self._layout = torch.channels_last if last else torch.contiguous_format

    def condition(self, control: Control, width: int, height: int) -> Condition | None:
        """A request's condition at a picture's size, as this denoiser's ControlNet reads it."""
        return self._control.condition(control, width, height) if self._control is not None else None

    def embedded(self, guidance: float) -> torch.Tensor | None:
        """The guidance scale as an input, for denoisers that were distilled to take it: (1, channels)."""
        if self._guidance_width is None:
            return None
        scale = torch.tensor([1000.0 * (guidance - 1)], device=self._unet.device)
        embedded: torch.Tensor = get_timestep_embedding(scale, self._guidance_width)
        return embedded

    def predict(self, asks: Sequence[DenoiserCall]) -> Sequence[torch.Tensor]:
        """What the network says to each, in one call."""
        if self._ready is not None:
            self._ready()
        rows = [(ask, branch) for ask in asks for branch in ask.branches]
        latents = torch.cat([ask.latents for ask, _ in rows]).to(self._dtype, memory_format=self._layout)
        timesteps = torch.stack([ask.timestep for ask, _ in rows])
        embeddings = torch.cat([branch.embeddings for _, branch in rows])
        added = _added([branch for _, branch in rows])
        conditions = [ask.condition for ask, _ in rows if ask.condition is not None]
        height, width = latents.shape[2:]
        with nullcontext() if self._edited else self.bounds.timed(height, width, len(rows)):
            output: torch.Tensor = self._network(
                latents,
                timesteps,
                encoder_hidden_states=embeddings,
                timestep_cond=_joined([ask.guidance for ask, _ in rows], self._dtype),
                added_cond_kwargs=added,
                return_dict=False,
                **(self._control.residuals(conditions, latents, timesteps, embeddings, added) if self._control else {}),
            )[0]
        if self._pace is not None:
            self._pace()
        return torch.split(output.float(), [len(ask.branches) for ask in asks])


def _joined(parts: Sequence[torch.Tensor | None], dtype: torch.dtype | None = None) -> torch.Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present).to(dtype=dtype) if present else None


def _added(branches: Sequence[Conditioning]) -> dict[str, torch.Tensor | None] | None:
    """XL's further conditions."""
    if branches[0].pooled is None:
        return None
    return {
        "text_embeds": _joined([branch.pooled for branch in branches]),
        "time_ids": _joined([branch.sizes for branch in branches]),
    }

"""One call of the denoiser for many requests, whatever their steps, guidance, sampler or time of arrival."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.embeddings import get_timestep_embedding

from visioncraft_local_sd.engine.conditioning import Conditioning
from visioncraft_local_sd.memory import is_out_of_memory

_BOUND = 16  # requests in one call, until it is measured


@dataclass(frozen=True, slots=True)
class Ask:
    """One request's part of a denoiser call.

    Parameters
    ----------
    denoiser: The denoiser to ask.
    latents: Scaled as its sampler wants them: fp32, (1, channels, height, width).
    timestep: Where it is, of no dimension.
    branches: The negative branch and the text's, or the text's alone where guidance is off.
    guidance: For denoisers that take it as an input, embedded: (1, channels).
    """

    denoiser: Denoiser
    latents: torch.Tensor
    timestep: torch.Tensor
    branches: tuple[Conditioning, ...]
    guidance: torch.Tensor | None = None

    @property
    def key(self) -> Hashable:
        """Calls of one denoiser whose tensors stack."""
        return (id(self.denoiser), self.latents.shape, self.branches[0].embeddings.shape)

    @property
    def bound(self) -> int:
        """At most so many together."""
        return self.denoiser.bound

    def together(self, calls: Sequence[Ask]) -> Sequence[torch.Tensor]:
        """The predictions for each: fp32, (branches, channels, height, width)."""
        return self.denoiser.predict(calls)

    def crowded(self, count: int, error: Exception) -> None:
        """So many together failed: fewer from now on where memory ran out."""
        if is_out_of_memory(error):
            self.denoiser.bound = max(1, count // 2)


class Denoiser:
    """A model's UNet.

    Parameters
    ----------
    unet: The network; latents and predictions are fp32 whatever it computes in.
    """

    def __init__(self, unet: Any) -> None:
        self.bound = _BOUND
        self._unet = unet
        self._guidance_width: int | None = unet.config.time_cond_proj_dim
        self._dtype: torch.dtype = unet.dtype  # asked once: diffusers walks through all parameters for it

    def embedded(self, guidance: float) -> torch.Tensor | None:
        """The guidance scale as an input, for denoisers that were distilled to take it: (1, channels)."""
        if self._guidance_width is None:
            return None
        scale = torch.tensor([1000.0 * (guidance - 1)], device=self._unet.device)
        embedded: torch.Tensor = get_timestep_embedding(scale, self._guidance_width)
        return embedded

    def predict(self, asks: Sequence[Ask]) -> Sequence[torch.Tensor]:
        """What the network says to each, in one call."""
        rows = [(ask, branch) for ask in asks for branch in ask.branches]
        output: torch.Tensor = self._unet(
            torch.cat([ask.latents for ask, _ in rows]).to(self._dtype, memory_format=torch.channels_last),
            torch.stack([ask.timestep for ask, _ in rows]),
            encoder_hidden_states=torch.cat([branch.embeddings for _, branch in rows]),
            timestep_cond=_joined([ask.guidance for ask, _ in rows], self._dtype),
            added_cond_kwargs=_added([branch for _, branch in rows]),
            return_dict=False,
        )[0]
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

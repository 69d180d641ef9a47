"""A UNet of Stable Diffusion, called for many requests at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models.embeddings import get_timestep_embedding

from visioncraft_local_sd.denoising.controlnet import ControlNet
from visioncraft_local_sd.denoising.denoiser import Row
from visioncraft_local_sd.text.encoder import Conditioning


class UNet:
    """How a UNet is called; see `Caller`.

    Args:
        network: diffusers' `UNet2DConditionModel`; latents and predictions are fp32 whatever it computes in.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self._guidance_width: int | None = network.config.time_cond_proj_dim
        self._dtype: torch.dtype = network.dtype  # asked once: diffusers walks through all parameters for it
        last = network.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        self._layout = torch.channels_last if last else torch.contiguous_format

    def embedded(self, guidance: float) -> torch.Tensor | None:
        """The guidance scale as an input, for denoisers that were distilled to take it: (1, channels)."""
        if self._guidance_width is None:
            return None
        scale = torch.tensor([1000.0 * (guidance - 1)], device=self.network.device)
        embedded: torch.Tensor = get_timestep_embedding(scale, self._guidance_width)
        return embedded

    def __call__(
        self, rows: Sequence[Row[Conditioning]], network: Callable[..., Any], control: ControlNet | None
    ) -> torch.Tensor:
        """What the network says to each row."""
        latents = torch.cat([row.call.latents for row in rows]).to(self._dtype, memory_format=self._layout)
        timesteps = torch.stack([row.call.timestep for row in rows])
        embeddings = torch.cat([row.branch.embeddings for row in rows])
        added = _added([row.branch for row in rows])
        conditions = [row.call.condition for row in rows if row.call.condition is not None]
        output: torch.Tensor = network(
            latents,
            timesteps,
            encoder_hidden_states=embeddings,
            timestep_cond=_joined([row.call.guidance for row in rows], self._dtype),
            added_cond_kwargs=added,
            return_dict=False,
            **(control.residuals(conditions, latents, timesteps, embeddings, added) if control else {}),
        )[0]
        return output.float()


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

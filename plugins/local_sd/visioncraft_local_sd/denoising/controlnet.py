"""ControlNets: a second network that reads a condition and tells the denoiser's layers what to add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from visioncraft import Control, InvalidRequest, decode_png, enlarged

from visioncraft_local_sd.device.memory import is_out_of_memory
from visioncraft_local_sd.weights.components import DIFFUSERS_STEM, component_files, linked

FIELD = "controlnet.name"
"""What a refusal names."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What one request has its ControlNet follow.

    Args:
        image: 0 to 1, in the network's precision: (1, 3, height, width).
        scale: How closely it is followed.
    """

    image: torch.Tensor
    scale: float


class ControlNet:
    """A ControlNet beside a denoiser.

    Args:
        network: diffusers' `ControlNetModel`.
    """

    def __init__(self, network: Any) -> None:
        self._network = network

    def condition(self, control: Control, width: int, height: int) -> Condition:
        """A request's condition, as the network reads it for a picture of this size."""
        pixels = decode_png(control.image.png)
        if pixels.shape[:2] != (height, width):  # the second pass is larger
            pixels = enlarged(pixels, width, height)
        unit = torch.from_numpy(pixels.astype(np.float32) / 255.0).permute(2, 0, 1)[None]
        return Condition(unit.to(self._network.device, self._network.dtype), control.scale)

    def residuals(
        self,
        conditions: Sequence[Condition],
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        embeddings: torch.Tensor,
        added: dict[str, torch.Tensor | None] | None,
    ) -> dict[str, Any]:
        """What the denoiser adds to its layers, one condition for each row, as arguments of its call."""
        down, middle = self._network(
            latents,
            timesteps,
            encoder_hidden_states=embeddings,
            controlnet_cond=torch.cat([condition.image for condition in conditions]),
            added_cond_kwargs=added,
            return_dict=False,
        )
        scales = torch.tensor([condition.scale for condition in conditions], dtype=middle.dtype, device=middle.device)
        scales = scales.view(-1, 1, 1, 1)
        return {
            "down_block_additional_residuals": [part * scales for part in down],
            "mid_block_additional_residual": middle * scales,
        }


def load_controlnet(path: Path, unet: Any, device: str) -> ControlNet:
    """Load a ControlNet that fits a denoiser, onto a device and in the denoiser's precision.

    Args:
        path: A diffusers folder, or a single `.safetensors` file in the original layout.

    Raises `InvalidRequest` where it belongs to another family or is not whole.
    """
    from diffusers import ControlNetModel

    options: dict[str, Any] = {"dtype": unet.dtype, "local_files_only": True}
    network: Any
    try:
        if path.is_dir():
            with TemporaryDirectory(prefix="visioncraft-controlnet-") as folder:
                files = component_files(path, DIFFUSERS_STEM).files
                network = ControlNetModel.from_pretrained(
                    str(linked(files, Path(folder))), use_safetensors=True, **options
                )
        else:
            network = ControlNetModel.from_single_file(str(path), **options)
    except Exception as error:  # diffusers raises what it pleases over a file that only looked like one
        if is_out_of_memory(error):
            raise
        said = " ".join(str(error).split())[:200] or type(error).__name__
        issue = f"'{path.stem}' cannot be loaded; it is pruned, damaged or of another layout: {said}"
        raise InvalidRequest.of(FIELD, issue) from error
    if any(each.is_meta for each in network.parameters()):
        raise InvalidRequest.of(FIELD, f"'{path.stem}' lacks weights; it is pruned or damaged")
    widths = ("cross_attention_dim", "block_out_channels", "addition_embed_type")
    if any(network.config.get(name) != unet.config.get(name) for name in widths):
        raise InvalidRequest.of(FIELD, f"'{path.stem}' does not fit this model; it is for another family")
    return ControlNet(network.to(device).eval())

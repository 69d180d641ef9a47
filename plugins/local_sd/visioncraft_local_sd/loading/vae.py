"""A VAE that somebody added, in place of the one that a checkpoint came with."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import torch

from visioncraft_local_sd.device.memory import is_out_of_memory
from visioncraft_local_sd.weights.components import DIFFUSERS_STEM, component_files, linked
from visioncraft_local_sd.weights.safety import CheckpointRefused


def load_vae(path: Path, configs: Path, own: Any, dtype: torch.dtype) -> Any:
    """diffusers' `AutoencoderKL` for a checkpoint.

    A single file does not say its architecture or the scale of its latents: it has the checkpoint's, as those that
    people share for a family do.

    Args:
        path: What was recognised as a VAE: a diffusers folder, or a `.safetensors` file in diffusers' or CompVis'
            layout.
        configs: The folder of the checkpoint's configurations.
        own: The VAE that the checkpoint came with.

    Raises `CheckpointRefused` where it does not fit.
    """
    kind: Any = diffusers.AutoencoderKL
    common = {"local_files_only": True, "dtype": dtype}
    try:
        if path.is_dir():
            with TemporaryDirectory(prefix="visioncraft-vae-") as folder:
                files = component_files(path, DIFFUSERS_STEM).files
                vae = kind.from_pretrained(str(linked(files, Path(folder))), use_safetensors=True, **common)
        else:
            vae = kind.from_single_file(str(path), config=str(configs), subfolder="vae", **common)
    except Exception as error:  # diffusers raises what it pleases over a file that is another model's
        if is_out_of_memory(error):
            raise
        raise CheckpointRefused(f"the VAE '{path.stem}' does not fit this model: {str(error)[:200]}") from error
    whole = not any(parameter.is_meta for parameter in vae.parameters())
    if not whole or _latents(vae) != _latents(own):
        raise CheckpointRefused(f"the VAE '{path.stem}' does not fit this model; it is for another family")
    return vae


def _latents(vae: Any) -> tuple[Any, ...]:
    """What a denoiser has to know of a VAE: channels, scale, and halvings from pixels on."""
    config = vae.config
    return config.latent_channels, config.scaling_factor, len(config.block_out_channels)

"""From a file of the LoRA kind to PEFT's layers in a model: wholly, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from visioncraft_local_sd.loras.deltas import down_and_up
from visioncraft_local_sd.loras.layers import diffusers_name, layers_by_name
from visioncraft_local_sd.weights.adapters import layers_of, way_of
from visioncraft_local_sd.weights.headers import tensor_shapes
from visioncraft_local_sd.weights.safety import CheckpointRefused

OURS = ("unet.", "text_encoder.", "text_encoder_2.")
"""What diffusers' own names of layers begin with."""

_OF_TRANSFORMERS = ("LoRA",)

_NETWORKS = ("unet", "transformer", "text_encoder", "text_encoder_2")

Layers = Mapping[str, Mapping[str, str]]


def load_lora(pipe: Any, file: Path, adapter: str) -> None:
    """Put what a file holds around the layers of a pipeline that it changes.

    Args:
        adapter: PEFT's name for it.

    Raises `CheckpointRefused` where the file is not understood or not all of it fits, and `OSError`, `RuntimeError`,
    `ValueError` or `KeyError` where it does not fit at all; part of it may be in the pipeline then.
    """
    keys = tensor_shapes(file)
    way, layers = way_of(file, keys), layers_of(keys)
    if hasattr(pipe, "transformer"):
        _load_into_transformer(pipe, file, adapter, way)
        return
    if all(name.startswith(OURS) for name in layers):
        # diffusers reads its own layouts from the file, whose metadata may say a scale.
        folder = str(file.parent)
        pipe.load_lora_weights(folder, weight_name=file.name, adapter_name=adapter, local_files_only=True)
    else:
        pipe.load_lora_weights(_as_lora(pipe, file, way, layers), adapter_name=adapter)
    if (placed := _placed(pipe, adapter)) != len(layers):
        issue = f"{placed} of its {len(layers)} layers are in this model; it is for another one"
        raise CheckpointRefused(f"{file.name} does not fit: {issue}")


def _load_into_transformer(pipe: Any, file: Path, adapter: str, way: str) -> None:
    """What a file holds for a transformer, whose layouts diffusers knows; it has dropped a DoRA's lengths silently."""
    if way not in _OF_TRANSFORMERS:
        raise CheckpointRefused(f"{file.name} is a {way}; this model takes {' and '.join(_OF_TRANSFORMERS)}")
    where = {"weight_name": file.name, "local_files_only": True, "use_safetensors": True}
    tensors = pipe.lora_state_dict(str(file.parent), **where)  # as diffusers reads it: parts of one layer apart
    wanted = {name.split(".lora_")[0] for name in tensors if not name.endswith(".alpha")}
    pipe.load_lora_weights(str(file.parent), adapter_name=adapter, **where)
    if (placed := _placed(pipe, adapter)) != len(wanted):
        issue = f"{placed} of its {len(wanted)} layers are in this model; it is for another one"
        raise CheckpointRefused(f"{file.name} does not fit: {issue}")


def _as_lora(pipe: Any, file: Path, way: str, layers: Layers) -> dict[str, torch.Tensor]:
    """What a file with kohya-ss' names of layers does, as a plain LoRA in PEFT's layout."""
    from safetensors.torch import load_file

    there, tensors, written = layers_by_name(pipe), load_file(file), {}
    for name, keys in layers.items():
        path, layer = there.get(diffusers_name(name, int(pipe.unet.config.layers_per_block)), ("", None))
        if layer is None:
            raise CheckpointRefused(f"{file.name} does not fit: this model has no layer '{name[:120]}'")
        weight = layer.weight
        if weight.is_meta and way == "DoRA":
            raise CheckpointRefused(f"a {way} is not drawn in memory_mode sequential, which has no weights at hand")
        device = "cpu" if weight.is_meta else weight.device
        own = {inner: tensors[key].to(device, torch.float32) for inner, key in keys.items()}
        down, up = down_and_up(own, weight)
        written[f"{path}.lora_A.weight"], written[f"{path}.lora_B.weight"] = down.to(weight.dtype), up.to(weight.dtype)
    return written


def _placed(pipe: Any, adapter: str) -> int:
    """Around how many layers of the pipeline the adapter is."""
    networks = (getattr(pipe, part, None) for part in _NETWORKS)
    modules = (module for network in networks if network is not None for module in network.modules())
    return sum(adapter in getattr(module, "lora_A", ()) for module in modules)

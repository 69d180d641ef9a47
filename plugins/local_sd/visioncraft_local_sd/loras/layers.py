"""Which of a model's layers the names in a LoRA's file mean."""

from __future__ import annotations

import re
from typing import Any

_OF_ENCODERS = {"text_encoder": ("lora_te_", "lora_te1_"), "text_encoder_2": ("lora_te2_",)}
_SGM = (
    (r"input_blocks_0_0$", "conv_in"),
    (r"^lora_unet_out_2$", "lora_unet_conv_out"),
    (r"time_embed_0$", "time_embedding_linear_1"),
    (r"time_embed_2$", "time_embedding_linear_2"),
    (r"label_emb_0_0$", "add_embedding_linear_1"),
    (r"label_emb_0_2$", "add_embedding_linear_2"),
    (r"_in_layers_2$", "_conv1"),
    (r"_out_layers_3$", "_conv2"),
    (r"_emb_layers_1$", "_time_emb_proj"),
    (r"_skip_connection$", "_conv_shortcut"),
)
"""Names of the original layout that differ, and diffusers' names."""


def layers_by_name(pipe: Any) -> dict[str, tuple[str, Any]]:
    """Every layer with a weight, by kohya-ss' name of it: its path in the pipeline, and the layer itself."""
    found = {f"lora_unet_{_flat(path)}": (f"unet.{path}", layer) for path, layer in _weighty(pipe.unet)}
    for part, prefixes in _OF_ENCODERS.items():
        encoder = getattr(pipe, part, None)
        for path, layer in _weighty(encoder) if encoder is not None else []:
            # transformers 5 has no `text_model` around the layers; files have it in their names.
            inner = _flat(path).removeprefix("text_model_")
            within = inner if inner.startswith("text_projection") else f"text_model_{inner}"
            found |= {f"{prefix}{within}": (f"{part}.{path}", layer) for prefix in prefixes}
    return found


def diffusers_name(name: str, layers_per_block: int) -> str:
    """A layer's name in diffusers' layout, from the original one's that SDXL is trained in; any other as it is."""
    if not re.match(r"lora_unet_(input_blocks|middle_block|output_blocks|out_|time_embed_|label_emb)", name):
        return name
    for original, ours in _SGM:
        name = re.sub(original, ours, name)
    return re.sub(
        r"(input_blocks|middle_block|output_blocks)_(\d+)(?:_(\d+))?_",
        lambda match: _block(match, layers_per_block),
        name,
    ).replace("_downsamplers_0_op", "_downsamplers_0_conv")


def _block(match: re.Match[str], layers_per_block: int) -> str:
    kind, number, inner, rest = match[1], int(match[2]), match[3], match.string[match.end() :]
    if kind == "middle_block":
        return f"mid_block_{('resnets_0', 'attentions_0', 'resnets_1')[number]}_"
    if kind == "input_blocks":
        block, layer = divmod(number - 1, layers_per_block + 1)
        if rest.startswith("op"):
            return f"down_blocks_{block}_downsamplers_0_"
        return f"down_blocks_{block}_{('resnets', 'attentions')[int(inner)]}_{layer}_"
    block, layer = divmod(number, layers_per_block + 1)
    if inner == "2" or rest == "conv":
        return f"up_blocks_{block}_upsamplers_0_"
    return f"up_blocks_{block}_{('resnets', 'attentions')[int(inner)]}_{layer}_"


def _weighty(network: Any) -> list[tuple[str, Any]]:
    """Its linear layers and convolutions; where PEFT has wrapped one, what is inside."""
    found: dict[str, Any] = {}
    for path, layer in network.named_modules():
        weight = getattr(layer, "weight", None)
        if ".lora_" not in path and weight is not None and weight.ndim in (2, 4):
            found[path.removesuffix(".base_layer")] = getattr(layer, "base_layer", layer)
    return list(found.items())


def _flat(path: str) -> str:
    return path.replace(".", "_")

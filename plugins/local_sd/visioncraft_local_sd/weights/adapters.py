"""What a file of the LoRA kind holds, told from the names of its tensors: which layers it changes, and in which way.

The ways are those of kohya-ss' sd-scripts, LyCORIS (https://github.com/KohakuBlueleaf/LyCORIS) and PEFT. A file in a
way that is not drawn here is refused by the way's name, and so is one with tensors that nobody here knows: half a LoRA
draws another picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from visioncraft_local_sd.weights.safety import CheckpointRefused

DRAWN: Mapping[str, re.Pattern[str]] = {
    "LoRA": re.compile(r"(?:[._]lora(?:_linear_layer)?[._](?:down|up)|\.lora_[AB])\.weight|\.alpha"),
    "LoCon": re.compile(r"\.lora_mid\.weight"),
    "DoRA": re.compile(r"\.dora_scale|[._]lora_magnitude_vector(?:\.weight)?"),
    "LoHa": re.compile(r"\.hada_(?:w[12]_[ab]|t[12])"),
    "LoKr": re.compile(r"\.lokr_(?:w[12](?:_[ab])?|t2)"),
    "difference of weights": re.compile(r"\.diff"),
}
"""Ways that are drawn, and what their tensors are called behind the layer's name."""

_OTHERS: Mapping[str, re.Pattern[str]] = {
    "difference of biases or norms": re.compile(r"\.(?:diff_b|[wb]_norm|bias_(?:indices|values|size))|\.lora_B\.bias"),
    "BOFT": re.compile(r"\.boft_\w+"),
    "OFT": re.compile(r"\.(?:oft_\w+|rescale)"),
    "GLoRA": re.compile(r"\.[ab][12]\.weight"),
    "IA3": re.compile(r"\.(?:on_input|ia3_l)"),
}
_SURE = ("LoRA", "DoRA", "LoHa", "LoKr", "BOFT", "OFT")  # no other kind of file has tensors of these names
_PREFIXES = ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "lycoris_")


def is_adapter(keys: Iterable[str]) -> bool:
    """Whether a file with these tensors is of the LoRA kind, drawn here or not."""
    sure = [DRAWN.get(way) or _OTHERS[way] for way in _SURE]
    return any(
        key.startswith(_PREFIXES) or any(_ends(pattern, key) for pattern in sure)
        for key in keys
        if not key.endswith(".alpha")
    )


def way_of(path: Path, keys: Iterable[str]) -> str:
    """The way in which a file changes layers, `LoRA` for the plain one.

    Raises `CheckpointRefused` for a way that is not drawn here, or a tensor that is of none.
    """
    found, strange = [], []
    for key in keys:
        way = next((way for way, pattern in (*DRAWN.items(), *_OTHERS.items()) if _ends(pattern, key)), None)
        found.append(way) if way else strange.append(key)
    if refused := next((way for way in _OTHERS if way in found), None):
        names = ", ".join(way for way in DRAWN if way[0].isupper())
        article = "an" if refused[0] in "AEIO" else "a"
        raise CheckpointRefused(f"{path.name} is {article} {refused}, which is not supported; {names} are")
    if strange:
        raise CheckpointRefused(f"{path.name} is a LoRA with tensors that are not known here, as '{strange[0][:120]}'")
    return next((way for way in list(DRAWN)[::-1] if way in found), "LoRA")


def layers_of(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """The tensors of each layer that a file changes: names behind the layer's own, and whole names."""
    layers: dict[str, dict[str, str]] = {}
    for key in keys:
        for pattern in DRAWN.values():
            if match := _ends(pattern, key):
                layer = key[: match.start()].removesuffix("_lora")
                layers.setdefault(layer, {})[match[0].lstrip("._")] = key
    return {layer: tensors for layer, tensors in layers.items() if set(tensors) != {"alpha"}}


def _ends(pattern: re.Pattern[str], key: str) -> re.Match[str] | None:
    return next((match for match in pattern.finditer(key) if match.end() == len(key)), None)

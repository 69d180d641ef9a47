"""The components of a diffusers folder: which of the files in it are the model's, and which set of weights is loaded.

People's folders hold several precisions, files of a Mac, licences and notes. What is chosen here is all that diffusers
gets to see (`linked`): it takes names apart that are not its own, and fails over them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from visioncraft import is_bystander

from visioncraft_local_sd.weights.headers import tensor_shapes
from visioncraft_local_sd.weights.safety import PICKLES, CheckpointRefused, check_config, read_json

_CONFIGS = ("config.json", "generation_config.json", "scheduler_config.json")
_WORDS = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "spiece.model",
    "tokenizer.model",
)
DIFFUSERS_STEM = "diffusion_pytorch_model"
"""What diffusers calls the weights of its own networks; transformers' are called `model`."""

_STEMS = dict.fromkeys(("unet", "transformer", "vae"), DIFFUSERS_STEM)
_PREFERRED = ("", "fp16", "bf16", "fp32")
_WIDTHS = "block_out_channels"


@dataclass(frozen=True, slots=True)
class Found:
    """A component's files.

    Args:
        files: Where each lies, by the name that it is loaded under.
        variant: Of its weights; empty for those without one in their names.
        parameters: How many its weights have.
    """

    files: Mapping[str, Path]
    variant: str = ""
    parameters: int = 0


@dataclass(slots=True)
class _Weights:
    """One set of weights, as one file or as shards."""

    whole: Path | None = None
    shards: dict[int, Path] = field(default_factory=dict)
    total: int = 0


def component_files(component: Path, stem: str = "") -> Found:
    """A component's configuration and weights. Raises `CheckpointRefused` that names what is missing or damaged.

    Args:
        stem: What its weights are called, for a component that stands alone; else its name in a model says so.
    """
    words = component.name.startswith("tokenizer")
    files = {name: component / name for name in (_WORDS if words else _CONFIGS) if (component / name).exists()}
    for file in {*files.values(), *_indices(component)}:
        if file.suffix == ".json":
            check_config(file)
    if component.name == "scheduler" and not files:
        raise CheckpointRefused(f"{component.name}/scheduler_config.json is missing")
    if words or component.name == "scheduler":
        return Found(files)
    _check_widths(component / "config.json")
    variant, weights = _chosen(component, stem or _STEMS.get(component.name, "model"))
    parameters = sum(prod(shape) for file in weights.values() for shape in _shapes(file))
    return Found({**files, **weights}, variant, parameters)


def linked(files: Mapping[str, Path], folder: Path) -> Path:
    """A folder that holds links to these files under the names they are loaded by, and nothing else."""
    for name, file in files.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.absolute())
    return folder


def _shapes(file: Path) -> Sequence[tuple[int, ...]]:
    return list(tensor_shapes(file).values()) if file.suffix == ".safetensors" else []


def _check_widths(config: Path) -> None:
    """What memory is estimated from has to be numbers."""
    widths = read_json(config).get(_WIDTHS)
    if widths is not None and not (isinstance(widths, list) and widths and all(type(each) is int for each in widths)):
        raise CheckpointRefused(f"{config.parent.name}/{config.name}: '{_WIDTHS}' is no list of numbers")


def _chosen(component: Path, stem: str) -> tuple[str, dict[str, Path]]:
    """The set of weights to load: its variant, and its files by the names they are loaded under."""
    sets = _sets(component, stem)
    order = sorted(sets, key=lambda each: (_PREFERRED.index(each) if each in _PREFERRED else len(_PREFERRED), each))
    for variant in order:
        weights = sets[variant]
        if weights.whole is not None:
            return variant, {f"{stem}.safetensors": weights.whole}
        if len(weights.shards) == weights.total:
            return variant, _sharded(component, stem, variant, weights)
    if sets:
        weights = sets[order[0]]
        missing = f"{weights.total - len(weights.shards)} of {weights.total}"
        raise CheckpointRefused(f"{component.name}: {missing} files of its weights are missing; fetch them again")
    pickles = sorted(file.name for file in component.glob("*") if file.suffix.lower() in PICKLES)
    if pickles:
        raise CheckpointRefused(
            f"{component.name}/{pickles[0]} is a pickle, which can run code; convert it to .safetensors"
        )
    raise CheckpointRefused(f"{component.name}/{stem}.safetensors is missing")


def _sets(component: Path, stem: str) -> dict[str, _Weights]:
    """Every set of weights in a component, by variant, however the variant and the shard's number are put."""
    shard = r"(-(?P<number>\d{5})-of-(?P<total>\d{5}))?"
    pattern = re.compile(rf"{stem}(\.(?P<before>\w+))?{shard}(\.(?P<behind>\w+))?\.safetensors")
    sets: dict[str, _Weights] = {}
    for file in sorted(component.iterdir()):
        match = pattern.fullmatch(file.name)
        if match is None or is_bystander(file.name):
            continue
        weights = sets.setdefault(match["before"] or match["behind"] or "", _Weights())
        if match["total"] is None:
            weights.whole = file
        else:
            weights.shards[int(match["number"])] = file
            weights.total = int(match["total"])
    return sets


def _sharded(component: Path, stem: str, variant: str, weights: _Weights) -> dict[str, Path]:
    names = [f"{stem}.safetensors.index.json"]
    if variant:
        names = [f"{stem}.safetensors.index.{variant}.json", f"{stem}.{variant}.safetensors.index.json"]
    index = next((component / name for name in names if (component / name).exists()), None)
    if index is None:
        raise CheckpointRefused(f"{component.name}/{names[0]} is missing, which says what is in which file")
    files = {file.name: file for file in weights.shards.values()}
    mapped = read_json(index).get("weight_map")
    strange = set(mapped.values()) - set(files) if isinstance(mapped, dict) else {"no file"}
    if strange:
        raise CheckpointRefused(f"{component.name}/{index.name} names {min(strange)}, which is none of the weights")
    return {f"{stem}.safetensors.index.json": index, **files}


def _indices(component: Path) -> list[Path]:
    return [file for file in component.glob("*.index*.json") if not is_bystander(file.name)]

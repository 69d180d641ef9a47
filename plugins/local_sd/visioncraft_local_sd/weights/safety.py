"""What a checkpoint may be: safetensors and JSON. Pickles and code from elsewhere are refused before anything loads.

diffusers reads class names from `model_index.json` and imports what they name, also Python files that lie in the
checkpoint; transformers follows `auto_map`. So nothing is handed to them unless every name in it is on a list here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from visioncraft_diffusion import json_files
from visioncraft_diffusion.errors import ModelRefused

from visioncraft_local_sd.families.table import PIPELINES

PICKLES = frozenset({".ckpt", ".bin", ".pt", ".pth", ".pkl", ".pickle"})
"""Suffixes of formats whose loading can run code."""

NOT_LOADED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Components that are never loaded, whatever a checkpoint names for them."""

_LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion", None})


class CheckpointRefused(ModelRefused):
    """A checkpoint that is not loaded. Its text says which file and what to do about it."""


def check_single_file(path: Path) -> None:
    """Raise `CheckpointRefused` unless `path` is called `.safetensors`."""
    if path.suffix.lower() in PICKLES:
        raise CheckpointRefused(f"{path.name} is a pickle, which can run code; convert it to .safetensors")
    if path.suffix.lower() != ".safetensors":
        raise CheckpointRefused(f"{path.name} is neither a .safetensors file nor a diffusers folder")


def refused(path: Path, error: Exception) -> CheckpointRefused:
    """What to say of a file or folder that raised something: it is refused, whatever was wrong with it."""
    if isinstance(error, CheckpointRefused):
        return error
    if isinstance(error, OSError):
        file = Path(error.filename) if isinstance(error.filename, str) else path
        shown = file.relative_to(path.parent).as_posix() if file.is_relative_to(path.parent) else file.name
        return CheckpointRefused(f"{shown} cannot be read: {error.strerror or error}")
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return CheckpointRefused(f"{path.name} is not what it looks like ({said}); fetch it again")


def check_index(folder: Path) -> dict[str, Any]:
    """The checked content of a folder's `model_index.json`. Raises `CheckpointRefused`, naming the file and the key."""
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        raise CheckpointRefused(
            f"model_index.json names the pipeline {str(pipeline)[:80]!r}; known here: {', '.join(sorted(PIPELINES))}"
        )
    for name, value in index.items():
        if not name.startswith("_") and isinstance(value, list | dict):
            _check_component(name, value, PIPELINES[pipeline])
    return index


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises `CheckpointRefused` where it is missing, damaged, no object or no regular file."""
    return json_files.read_json(path, CheckpointRefused)


def check_config(file: Path) -> None:
    """Raise `CheckpointRefused` where a configuration asks for code, or for files that lie elsewhere."""
    if file.name in {"vocab.json", "tokenizer.json"}:  # large word lists, which name no code
        return
    shown = f"{file.parent.name}/{file.name}"
    for key, value in _entries(read_json(file)):
        if key == "auto_map" or (key == "trust_remote_code" and value):
            raise CheckpointRefused(f"{shown}: '{key}' asks for remote code, which is never run")
        if key == "quantization_config":
            raise CheckpointRefused(f"{shown}: '{key}': quantised checkpoints are not supported; use the full one")
        if "attn_implementation" in key and isinstance(value, str) and not value.isidentifier():
            raise CheckpointRefused(f"{shown}: '{key}' names code to download, which is never run")
        if key == "weight_map":
            _check_shards(value, shown)


def _check_component(name: str, value: Any, classes: Mapping[str, re.Pattern[str]]) -> None:
    pair = value if isinstance(value, list) and len(value) == 2 else [object(), object()]
    library, class_name = pair
    if library is None and class_name is None:
        return
    if name not in classes and isinstance(value, list) and all(type(each) is int for each in value):
        return  # a setting of the pipeline, as Krea 2's layers to read: numbers name no code
    if not isinstance(library, str | None) or library not in _LIBRARIES or not isinstance(class_name, str):
        raise CheckpointRefused(f"model_index.json: {name}: {value!r:.120} would load code from outside diffusers")
    if name in NOT_LOADED:
        return
    allowed = classes.get(name)
    if allowed is None or not allowed.fullmatch(f"{library}.{class_name}"):
        raise CheckpointRefused(f"model_index.json: {name}: {library}.{class_name:.80} is not a class this loads")


def _check_shards(value: Any, shown: str) -> None:
    """A sharded checkpoint's index names its files: they lie beside it and are safetensors."""
    for name in set(value.values()) if isinstance(value, dict) else [value]:
        if not isinstance(name, str) or name != PurePosixPath(name).name or "\\" in name:
            raise CheckpointRefused(f"{shown}: '{str(name)[:80]}' is not a file beside it")
        if PurePosixPath(name).suffix.lower() in PICKLES and "safetensors" in shown:
            raise CheckpointRefused(f"{shown}: '{name[:80]}' is a pickle, which can run code")


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON document with its value, at any depth."""
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value.items()
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)

"""InvokeAI: the text chunk `invokeai_metadata`, JSON; before version 3 `sd-metadata`.

Names as in https://invoke-ai.github.io/InvokeAI/ and in `invokeai/app/invocations/metadata.py` (`CoreMetadata`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from visioncraft_diffusion.samplers import from_invokeai

from visioncraft_gallery_fs.transfer.foreign.metadata import ForeignMetadata, check_whole, model_name, seed_of, settings

_INGREDIENTS = (
    *("loras", "controlnets", "ipAdapters", "t2iAdapters", "vae", "clip_skip", "init_image", "hrf_enabled"),
    *("refiner_model", "regions", "control_layers", "canvas_v2_metadata", "ref_images", "seamless_x", "seamless_y"),
)
"""What says that more than model, prompts, seed, sampler and size made the picture what it is."""
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def read(texts: Mapping[str, str]) -> ForeignMetadata | None:
    """What the metadata say; None where there are none of this kind."""
    newer, older = _object(texts.get("invokeai_metadata")), _object(texts.get("sd-metadata"))
    if newer:
        return _read_newer(newer)
    image = older.get("image")
    return _read_older(older, image) if isinstance(image, dict) else None


def _read_newer(said: dict[str, Any]) -> ForeignMetadata:
    model, scheduler = said.get("model"), said.get("scheduler")
    sampler = from_invokeai(scheduler) if isinstance(scheduler, str) else None
    for name in ("seed", "steps"):
        check_whole(name, said.get(name))
    seed, unusual = seed_of(said.get("seed"))
    named = (model.get("name") or model.get("model_name")) if isinstance(model, dict) else model
    return ForeignMetadata(
        "invokeai",
        _text(said.get("positive_prompt")),
        _text(said.get("negative_prompt")),
        model_name(named),
        seed,
        settings(said.get("steps"), said.get("cfg_scale"), sampler),
        {name: said[name] for name in ("app_version", "generation_mode") if isinstance(said.get(name), str)} | unusual,
        [name for name in _INGREDIENTS if said.get(name)],
    )


def _read_older(said: dict[str, Any], image: dict[str, Any]) -> ForeignMetadata:
    """Version 2 wrote what a picture should not show in brackets within the prompt."""
    for name in ("seed", "steps"):
        check_whole(name, image.get(name))
    seed, unusual = seed_of(image.get("seed"))
    prompts = image.get("prompt")
    parts = prompts if isinstance(prompts, list) else [prompts]
    text = ", ".join(_text(part.get("prompt") if isinstance(part, dict) else part) for part in parts)
    return ForeignMetadata(
        "invokeai",
        _BRACKETS.sub("", text).strip(" ,"),
        ", ".join(_BRACKETS.findall(text)),
        model_name(said.get("model_weights")),
        seed,
        settings(image.get("steps"), image.get("cfg_scale"), image.get("sampler")),
        unusual,
    )


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""

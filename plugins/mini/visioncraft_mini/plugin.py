"""Lists the embedded model; a plugin that brings the engine `diffusers` or `onnx` draws with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from visioncraft import Ability, Limits, ModelInfo, Settings, hookimpl

WEIGHTS = Path(__file__).with_name("weights")

MINI = ModelInfo(
    id="visioncraft-mini",
    name="VisionCraft Mini",
    engine="diffusers",
    also=("onnx",),
    quality="Basic",
    vram_required="1GB",
    description="Small embedded model: emoji-style pictures of everyday things, offline, in about a second.",
    limits=Limits(
        steps=(1, 50),
        guidance_scale=(1.0, 20.0),
        size_multiple=32,
        min_resolution=(256, 256),
        max_resolution=(1024, 1024),
    ),
    source=str(WEIGHTS),
    abilities=frozenset(get_args(Ability)),
    licence="MIT",
    preferred=10,
    available=(WEIGHTS / "model_index.json").is_file(),
)


@hookimpl
def visioncraft_models(settings: Settings) -> Sequence[ModelInfo]:
    """The one model of this package."""
    return [MINI]

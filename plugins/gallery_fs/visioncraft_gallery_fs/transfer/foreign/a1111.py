"""AUTOMATIC1111's web UI and its kin (Forge, SD.Next): the text chunk `parameters`, in a JPEG the EXIF comment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from visioncraft_diffusion.infotext import read_infotext

from visioncraft_gallery_fs.transfer.foreign.metadata import (
    ForeignMetadata,
    check_whole,
    model_name,
    seed_of,
    settings,
    whole,
)

_PLAIN = ("", "Automatic", "Normal", "Simple")
"""Schedules that are a sampler's own, or next to it."""
_INGREDIENT = re.compile(
    "Hires upscale$|Denoising strength|Mask |Inpaint|VAE$|ControlNet|ADetailer model|Refiner$|Variation seed$|ENSD|Eta|"
    "Tiling|Face restoration|Hypernet|Token merging|FreeU|Tiled Diffusion|Dynamic thresholding|Regional Prompter|"
    "Ultimate SD upscale|First pass size|Conditional mask|Latent couple|IP-Adapter|CFG mode|Skip Early CFG"
)
"""Pairs that say that something beside model, prompt, seed, sampler and size made the picture what it is."""
_KNOWN = {"Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Model", "Size"}


def read(texts: Mapping[str, str]) -> ForeignMetadata | None:
    """What the text says; None where there is none of this kind.

    Raises `HalfUnderstood` where it is of this kind, but its steps or its seed are no numbers.
    """
    found = read_infotext(texts.get("parameters", ""))
    if found is None:
        return None
    pairs = found.pairs
    for name in ("Steps", "Seed"):
        check_whole(name, pairs.get(name))
    schedule = pairs.get("Schedule type", "")
    seed, unusual = seed_of(pairs.get("Seed"))
    sampler = pairs.get("Sampler", "") + (f" {schedule}" if schedule not in _PLAIN else "")
    return ForeignMetadata(
        "automatic1111",
        found.prompt,
        found.negative_prompt,
        model_name(pairs.get("Model")),
        seed,
        {**settings(pairs["Steps"], pairs.get("CFG scale"), sampler), **_clip_skip(pairs)},
        {name: value for name, value in pairs.items() if name not in _KNOWN} | unusual,
        [f"{name}: {value[:80]}" for name, value in pairs.items() if _INGREDIENT.match(name)],
    )


def _clip_skip(pairs: Mapping[str, str]) -> dict[str, Any]:
    """`Clip skip: 2`, which this product has too; 1 is what every picture has, and not said."""
    layer = whole(pairs.get("Clip skip"))
    return {} if layer is None or layer <= 1 else {"clip_skip": layer}

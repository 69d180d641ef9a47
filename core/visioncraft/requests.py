"""From what a client asked to a `GenerationRequest`: the model's own limits, and a seed where none was given."""

from __future__ import annotations

import math
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from visioncraft.errors import InvalidRequest
from visioncraft.types import GenerationRequest, ImageRecord, Limits, ModelInfo, canonical_id

MAX_PROMPT_CHARACTERS = 10_000
MAX_SEED = 2**63 - 1
_DRAWN_SEEDS = 2**31 - 10  # any client's number type and any tool's seed field hold them, Leonardo's Flux too
_CATALOGUE = {"aspect_ratio": "aspect_ratios", "preset_style": "preset_styles", "quality": "quality_levels"}


def build_request(model: ModelInfo, prompt: str, **asked: Any) -> GenerationRequest:
    """Validate against the model's limits and draw the seed.

    Parameters
    ----------
    model: Draws the picture; its limits decide.
    prompt: What to draw.
    asked: Further fields of `GenerationRequest`; None means the field's default.

    Raises `InvalidRequest` that names the field and what would be right.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    _check_text("prompt", prompt)
    _check_text("negative_prompt", given.get("negative_prompt", ""), may_be_empty=True)
    given["seed"] = _seed(given.get("seed", -1))
    if "leonardo_model" in given:
        given["leonardo_model"] = canonical_id(given["leonardo_model"])
    if model.kind == "cloud":
        given |= _chosen(model, given)
    request = GenerationRequest(prompt=prompt, model=model, **given)
    _check_limits(request, model.limits)
    return request


def _chosen(model: ModelInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    """A cloud model's choices as its catalogue spells them; its size is that of the aspect ratio."""
    chosen: dict[str, Any] = {}
    for field, kind in _CATALOGUE.items():
        offered = {entry["id"]: entry for entry in (model.catalogue or {}).get(kind, ())}
        wanted = given.get(field, GenerationRequest.__dataclass_fields__[field].default)
        entry = next((each for name, each in offered.items() if name.lower() == wanted.strip().lower()), None)
        if offered and entry is None:
            raise _invalid(field, f"one of: {', '.join(offered)}")
        if entry is not None:
            chosen[field] = entry["id"]
            if "resolution" in entry:
                chosen["width"], chosen["height"] = entry["resolution"]
    return chosen


def request_fields(record: ImageRecord) -> dict[str, Any]:
    """What to ask for to have a picture drawn again: the fields of `POST /generate`, `model` among them.

    A sampler only where one was asked for: the model's own, by its name, need not be set up as the model has it.
    """
    names = (field.name for field in fields(GenerationRequest) if field.name not in ("model", "job_id"))
    given = {name: record.parameters[name] for name in names if name in record.parameters}
    size = {"width": record.width, "height": record.height}
    return {**size, **given, "prompt": record.prompt, "negative_prompt": record.negative_prompt} | {
        "model": record.model,
        "seed": record.seed,
    }


def _check_text(field: str, text: str, may_be_empty: bool = False) -> None:
    if not text.strip() and not may_be_empty:
        raise _invalid(field, f"{field.capitalize()} cannot be empty")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise _invalid(field, f"at most {MAX_PROMPT_CHARACTERS} characters, not {len(text)}")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t":
            raise _invalid(field, f"contains the control character U+{ord(character):04X}; remove it")


def _seed(seed: int) -> int:
    if seed == -1:
        return secrets.randbelow(_DRAWN_SEEDS)
    if not 0 <= seed <= MAX_SEED:
        raise _invalid("seed", f"-1 for a random seed, or 0 to {MAX_SEED}")
    return seed


def _check_limits(request: GenerationRequest, limits: Limits) -> None:
    name = request.model.id
    _check_range("num_inference_steps", request.num_inference_steps, limits.steps, name)
    _check_range("guidance_scale", request.guidance_scale, limits.guidance_scale, name)
    for axis, field in enumerate(("width", "height")):
        pixels = getattr(request, field)
        _check_range(field, pixels, (limits.min_resolution[axis], limits.max_resolution[axis]), name)
        if pixels % limits.size_multiple:
            nearest = round(pixels / limits.size_multiple) * limits.size_multiple
            raise _invalid(field, f"a multiple of {limits.size_multiple} for {name}; nearest is {nearest}")


def _check_range(field: str, value: float, bounds: tuple[float, float], model: str) -> None:
    low, high = bounds
    if not (math.isfinite(value) and low <= value <= high):
        raise _invalid(field, f"{low:g} to {high:g} for {model}")


def _invalid(field: str, issue: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid {field} provided", field=field, issue=issue)

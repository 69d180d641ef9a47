"""`quality`, as steps of the model or as a cloud's own quality level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncraft import InvalidRequest, ModelInfo

_STEPS: Mapping[str, float] = {
    "auto": 1.0,
    "low": 0.5,
    "medium": 1.0,
    "standard": 1.0,
    "high": 1.5,
    "hd": 1.5,
    "xhigh": 2.0,
    "max": 2.5,
}
"""How many times the model's own number of steps."""

_TOLD = {"auto": "medium", "standard": "medium", "hd": "high"}


def quality_fields(model: ModelInfo, quality: str | None) -> dict[str, Any]:
    """What a quality means to a model.

    Args:
        model: Draws.
        quality: One of the protocol's words, or a quality level of the model's own; None leaves it to the model.

    Returns:
        Fields for `service.submit`.

    Raises:
        InvalidRequest: No such quality.
    """
    levels = _levels(model)
    if quality is None:
        return {}
    if quality in levels:
        return {"quality": levels[quality]}
    if quality not in _STEPS:
        known = ", ".join([*_STEPS, *levels])
        raise InvalidRequest.of("quality", f"one of: {known}")
    factor = _STEPS[quality]
    if levels:
        return {"quality": levels["high"]} if factor > 1 and "high" in levels else {}
    least, most = model.limits.steps
    return {} if factor == 1 else {"num_inference_steps": max(least, min(most, round(model.defaults.steps * factor)))}


def told_quality(quality: str | None) -> str:
    """The quality as answers tell it: one of the words that the protocol's newest clients know."""
    word = quality or "auto"
    return _TOLD.get(word, word if word in _STEPS else "medium")


def _levels(model: ModelInfo) -> Mapping[str, str]:
    """The quality levels of a cloud's model, by their ids in lower case; none for any other model."""
    entries = (model.catalogue or {}).get("quality_levels", ()) if model.kind == "cloud" else ()
    return {str(each["id"]).lower(): str(each["id"]) for each in entries}

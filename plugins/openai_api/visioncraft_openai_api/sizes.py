"""Sizes that clients ask for, and the nearest that a model draws."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from visioncraft import InvalidRequest, Limits, ModelInfo

_SIZE = re.compile(r"\s*(\d{1,5})\s*[xX×*]\s*(\d{1,5})\s*", re.ASCII)


def size_fields(model: ModelInfo, size: str | None) -> tuple[dict[str, Any], list[str]]:
    """What a size means to a model.

    Args:
        model: Draws.
        size: As the client wrote it, `1024x1536`; None and `auto` leave it to the model.

    Returns:
        Fields for `service.submit`, and a sentence where another size than the one asked for is drawn.

    Raises:
        InvalidRequest: That is no size.
    """
    if size is None or size.strip().lower() == "auto":
        return {}, []
    found = _SIZE.fullmatch(size)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (width and height):
        raise InvalidRequest.of("size", "WIDTHxHEIGHT in pixels, as 1024x1024, or auto")
    ratios = _ratios(model)
    if ratios:
        name = min(ratios, key=lambda each: _distance(ratios[each], (width, height)))
        fields: dict[str, Any] = {"aspect_ratio": name}
        drawn = ratios[name]
    else:
        drawn = nearest(model.limits, width, height)
        fields = {"width": drawn[0], "height": drawn[1]}
    if drawn == (width, height):
        return fields, []
    return fields, [f"{model.id} does not draw {width}x{height}; {drawn[0]}x{drawn[1]} is the nearest that it draws"]


def nearest(limits: Limits, width: int, height: int) -> tuple[int, int]:
    """The size nearest to one asked for that a model draws, of the same proportions as far as its limits let it.

    Args:
        limits: The model's.
        width: As asked for, in pixels.
        height: As asked for, in pixels.

    Returns:
        Width and height that the model takes.
    """
    sides, least, most = (width, height), limits.min_resolution, limits.max_resolution
    grown = max(1.0, *(low / side for side, low in zip(sides, least, strict=True)))
    shrunk = min(grown, *(high / side for side, high in zip(sides, most, strict=True)))
    scale = shrunk if shrunk < 1 else grown
    drawn_width, drawn_height = (
        _multiple(side * scale, low, high, limits.size_multiple)
        for side, low, high in zip(sides, least, most, strict=True)
    )
    return drawn_width, drawn_height


def _multiple(side: float, low: int, high: int, multiple: int) -> int:
    fewest, most = math.ceil(low / multiple), high // multiple
    return max(fewest, min(most, round(side / multiple))) * multiple


def _ratios(model: ModelInfo) -> Mapping[str, tuple[int, int]]:
    """The sizes of a cloud's model by the aspect ratios that it is asked for by; empty for any other model."""
    entries = (model.catalogue or {}).get("aspect_ratios", ()) if model.kind == "cloud" else ()
    return {each["id"]: tuple(each["resolution"]) for each in entries if "resolution" in each}


def _distance(offered: tuple[int, int], wanted: tuple[int, int]) -> tuple[float, int]:
    """How far two sizes are apart: by their proportions first, then by their pixels."""
    proportions = abs(math.log(offered[0] / offered[1]) - math.log(wanted[0] / wanted[1]))
    return round(proportions, 2), abs(offered[0] * offered[1] - wanted[0] * wanted[1])

"""From a proportion and a rough size to the width and height that a model draws."""

from __future__ import annotations

import math
import re
from typing import Any

from visioncraft import InvalidRequest, ModelInfo

from visioncraft_gemini_api.bodies import Frame

_RATIO = re.compile(r"(\d{1,3}):(\d{1,3})")
_SIZE = re.compile(r"(\d{1,4})(k|px)?", re.IGNORECASE)


def size_fields(model: ModelInfo, frame: Frame) -> dict[str, Any]:
    """The fields of a request that stand for a frame; none where none is wished for.

    Args:
        model: Its limits decide, and its own size is how large an image is of which only the proportion is known. One
            of a cloud service takes the proportion as it is.
        frame: What is wished for.

    Raises:
        InvalidRequest: That is no proportion, or no size.
    """
    if frame.aspect_ratio is None and frame.image_size is None:
        return {}
    if model.kind == "cloud":
        return {"aspect_ratio": frame.aspect_ratio} if frame.aspect_ratio else {}
    defaults = model.defaults
    ratio = _ratio(frame.aspect_ratio) if frame.aspect_ratio else defaults.width / defaults.height
    pixels = _side(frame.image_size) ** 2 if frame.image_size else defaults.width * defaults.height
    return _fitted(model, math.sqrt(pixels * ratio), math.sqrt(pixels / ratio))


def _fitted(model: ModelInfo, width: float, height: float) -> dict[str, int]:
    """The nearest size of these proportions that the model draws."""
    limits = model.limits
    scale = min(1.0, limits.max_resolution[0] / width, limits.max_resolution[1] / height)
    sides = (
        max(least, math.floor(side * scale / limits.size_multiple + 0.5) * limits.size_multiple)
        for side, least in zip((width, height), limits.min_resolution, strict=True)
    )
    return dict(zip(("width", "height"), sides, strict=True))


def _ratio(text: str) -> float:
    found = _RATIO.fullmatch(text.strip())
    if found is None or not (int(found[1]) and int(found[2])):
        raise InvalidRequest.of("aspectRatio", "width and height as 16:9")
    return int(found[1]) / int(found[2])


def _side(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise InvalidRequest.of("imageSize", "about the side of a square, as 1K or 512")
    return int(found[1]) * (1024 if (found[2] or "").lower() == "k" else 1)

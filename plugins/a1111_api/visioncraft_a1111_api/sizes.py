"""Sizes that clients ask for, brought to what the model draws: they know nothing of its limits."""

from __future__ import annotations

from visioncraft import Limits, ModelInfo

from visioncraft_a1111_api.bodies import Body


def sides(body: Body, model: ModelInfo, told: list[str]) -> dict[str, int]:
    """Finds width and height for a request.

    Args:
        body: What the client asks for.
        model: Draws.
        told: Hears of a size that is another one than asked for.

    Returns:
        Those that were asked for, by their fields' names.
    """
    asked = {side: value for side in ("width", "height") if (value := body.whole(side)) is not None and value > 0}
    if model.kind == "cloud":
        return {}
    if len(asked) < 2:
        bounds = zip(("width", "height"), model.limits.min_resolution, model.limits.max_resolution, strict=True)
        fitting = {side: _on_grid(asked[side], low, high, model.limits) for side, low, high in bounds if side in asked}
    else:
        fitting = dict(zip(("width", "height"), _nearest(asked["width"], asked["height"], model.limits), strict=True))
    if fitting != asked:
        before, after = ("x".join(map(str, size.values())) for size in (asked, fitting))
        told.append(f"{model.id} draws {after}, not {before}")
    return fitting


def _nearest(width: int, height: int, limits: Limits) -> tuple[int, int]:
    """The nearest size of about the same proportions that a model draws."""
    (least_w, least_h), (most_w, most_h) = limits.min_resolution, limits.max_resolution
    scale = min(1.0, most_w / width, most_h / height)
    scale = max(scale, least_w / width, least_h / height)
    return (
        _on_grid(width * scale, least_w, most_w, limits),
        _on_grid(height * scale, least_h, most_h, limits),
    )


def _on_grid(side: float, least: int, most: int, limits: Limits) -> int:
    """The nearest multiple within bounds."""
    step = limits.size_multiple
    lowest, highest = -(-least // step) * step, most // step * step
    return min(max(round(side / step) * step, lowest), highest)

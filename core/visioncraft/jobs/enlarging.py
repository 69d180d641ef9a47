"""Enlarging an image that a client sent, without drawing: `init_image` with `strength` 0 and an `upscaler`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncraft.errors import InvalidRequest
from visioncraft.images.pixels import MAX_PIXELS, MAX_SIDE

_DRAWN_WITH = ("mask", "controlnet", "hires", "loras")


def is_asked_for(given: Mapping[str, Any]) -> bool:
    """Tells whether these fields of a request ask for that.

    Raises:
        InvalidRequest: They do, and ask for nothing that enlarges, or for what only drawing can. It names the field.
    """
    if given.get("strength") != 0:
        return False
    if "upscaler" not in given:
        raise InvalidRequest.of("strength", "past 0 to 1; 0 draws nothing and is for enlarging, with an upscaler")
    for field in _DRAWN_WITH:
        if field in given:
            raise InvalidRequest.of(field, "nothing is drawn with strength 0; leave it out")
    if given.get("num_images", 1) > 1:
        raise InvalidRequest.of("num_images", "1 with strength 0: an image is enlarged in one way")
    return True


def check_size(width: int, height: int, upscale: float) -> None:
    """Bound the finished image as those that are sent are bounded.

    Args:
        width: Of the image that is enlarged, in pixels.
        height: Likewise.
        upscale: By how much.

    Raises:
        InvalidRequest: It would be larger.
    """
    for field, side in (("width", width), ("height", height)):
        if not 1 <= side <= MAX_SIDE:
            raise InvalidRequest.of(field, f"1 to {MAX_SIDE}")
    if width * upscale * height * upscale > MAX_PIXELS:
        most = (MAX_PIXELS / (width * height)) ** 0.5
        raise InvalidRequest.of("upscale", f"at most {most:.2f} for {width}x{height}: {MAX_PIXELS} pixels in the end")

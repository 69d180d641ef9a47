"""Enlarging an image that somebody sent: no model is loaded for it, and torch waits until a network is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from visioncraft import (
    LANCZOS,
    GeneratedImage,
    GenerationRequest,
    Progress,
    decode_png,
    encode_png,
    enlarged,
    is_lanczos,
)

if TYPE_CHECKING:
    import numpy as np

NETWORK_GB = 2.0
"""About what a tile takes in the larger ones of the usual networks, in GB."""


def enlarge_alone(
    request: GenerationRequest,
    progress: Progress,
    compute: Callable[[Callable[[], np.ndarray]], np.ndarray],
    find: Callable[[str], Path],
    device: str,
) -> GeneratedImage:
    """Enlarges the image of a request that draws nothing.

    Args:
        request: Holds the image, the upscaler's name and the factor.
        progress: Hears of it.
        compute: Has a function computed where everything is, and answers what it does.
        find: From an upscaler's name to its file; raises `NotFound`.
        device: Where networks compute.

    Raises:
        InvalidRequest: The upscaler is absent, or nothing here can run it.
    """
    assert request.init_image is not None  # noqa: S101 - for mypy: such requests have one
    name, (width, height) = request.upscaler or LANCZOS, request.enlarged_size
    pixels = decode_png(request.init_image.png)
    progress.stage("enlarging")
    if is_lanczos(name):
        pixels = enlarged(pixels, width, height)
    else:
        from visioncraft_local_sd.images.upscaling import Upscalers

        upscalers = Upscalers(find, device)
        pixels = compute(lambda: upscalers.enlarge(pixels, name, width, height, "upscaler"))
    progress.step(1, 1)
    return GeneratedImage(encode_png(pixels), width, height, request.seed)

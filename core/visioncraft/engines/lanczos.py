"""Enlarging an image by Lanczos' filter, which every engine can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visioncraft.types.models import canonical_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LANCZOS = "lanczos"
"""The upscaler that is always there."""


def is_lanczos(name: str) -> bool:
    """Tells whether an upscaler's name, in any spelling, means Lanczos' filter.

    .. versionadded:: 1.1
    """
    return canonical_id(name) == LANCZOS


def enlarged(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Returns an image at another size by Lanczos' filter.

    Args:
        pixels: Of shape (height, width, 3).
        width: Pixels.
        height: Pixels.

    .. versionadded:: 1.1
    """
    import numpy as np
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS), dtype=np.uint8)

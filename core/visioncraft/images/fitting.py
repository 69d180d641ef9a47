"""How an image comes to a size of other proportions than its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from visioncraft.types.editing import Fit

_GAP = 3.0  # it is first made smaller in whole steps, to so many times what is wanted; Pillow calls 3 "fair"


def resized(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Returns the image at a size, in its own mode.

    Args:
        image: With 8 bits a channel and without a palette.
        size: Width and height in pixels.
        fit: How it is brought there.
    """
    from PIL import Image

    if fit == "pad":
        return _padded(image, size)
    box = _middle(image.size, size) if fit == "crop" else None
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=_GAP)


def _middle(own: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest part of an image, from its middle, that has another size's proportions."""
    scale = min(mine / wanted for mine, wanted in zip(own, size, strict=True))
    width, height = size[0] * scale, size[1] * scale
    left, top = (own[0] - width) / 2, (own[1] - height) / 2
    return left, top, min(left + width, own[0]), min(top + height, own[1])


def _padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole image, and beside it strips of what stands at its edges."""
    import numpy as np
    from PIL import Image

    scale = min(wanted / mine for mine, wanted in zip(image.size, size, strict=True))
    width, height = (max(1, round(side * scale)) for side in image.size)
    shown = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=_GAP))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    strips = [(top, size[1] - height - top), (left, size[0] - width - left), (0, 0)]
    return Image.fromarray(np.pad(shown, strips[: shown.ndim], mode="edge"))

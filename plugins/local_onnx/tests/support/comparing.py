"""How far two engines' pictures are apart."""

from __future__ import annotations

import numpy as np
from visioncraft import GeneratedImage, decode_png


def mean_difference(one: GeneratedImage, other: GeneratedImage) -> float:
    """Of all channels of all pixels, in units of 1/255."""
    return float(np.abs(decode_png(one.png).astype(int) - decode_png(other.png).astype(int)).mean())

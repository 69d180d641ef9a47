"""Larger pictures, from pixels to pixels: by Lanczos' filter, or by a network that spandrel recognises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from visioncraft import InvalidRequest, NotFound, canonical_id

LANCZOS = "lanczos"
"""The upscaler that is always there."""


def enlarged(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture at another size by Lanczos' filter: uint8, (height, width, 3)."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS), dtype=np.uint8)


class Upscalers:
    """Enlarges finished pictures.

    Parameters
    ----------
    find: From an upscaler's name to its file; raises `NotFound`.
    device: Where networks compute.
    """

    def __init__(self, find: Callable[[str], Path], device: str) -> None:
        self._find, self._device = find, device

    def enlarge(self, pixels: np.ndarray, name: str, width: int, height: int, field: str) -> np.ndarray:
        """A picture at another size: uint8, (height, width, 3). Raises `InvalidRequest` for an unknown upscaler."""
        if canonical_id(name) == LANCZOS:
            return enlarged(pixels, width, height)
        try:
            path = self._find(name)
        except NotFound as absent:
            issue = f"{absent.message}; '{LANCZOS}' is always there"
            raise InvalidRequest(f"Invalid {field} provided", field=field, issue=issue) from absent
        raise NotImplementedError(path)

"""Small pictures of what is being drawn, from the latents, without running the VAE at every look."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from visioncraft import encode_png

from visioncraft_local_onnx.arrays import Floats

_log = logging.getLogger("visioncraft.local_onnx")
Decode = Callable[[Floats], Floats]
_SIDE = 256  # the longest, in pixels
_FIT_SIDE = 16  # latents a side that the projection is fitted on


class Previewer:
    """Shows latents of one model through the linear map from latent channels to colours that fits its VAE best.

    Args:
        every: Steps between two previews; 0 for none.
        decode: The model's own VAE: latents of shape (1, channels, h, w) to pictures of shape (1, 3, H, W) in -1 to 1.
    """

    def __init__(self, every: int, decode: Decode) -> None:
        self._every = every
        self._decode = decode
        self._factors: Floats | None = None

    def at(self, step: int, steps: int, latents: Floats) -> bytes | None:
        """A PNG after step `step` of `steps`, where one is due; the last step needs none, the picture follows.

        A preview that fails is left out, and so are those after it: the picture does not depend on it.
        """
        if not self._every or step % self._every or step == steps:
            return None
        try:
            return encode_png(_enlarged(((self._shown(latents) / 2 + 0.5).clip(0, 1) * 255).astype(np.uint8)))
        except Exception as error:  # a preview is a convenience, whatever is wrong with it
            self._every = 0
            _log.warning("previews are left out from here on: %s", error)
            return None

    def _shown(self, latents: Floats) -> Floats:
        """Latents as colours, shape (h, w, 3). Raises `ValueError` where there is nothing to see."""
        if self._factors is None:
            self._factors = self._fit(latents.shape[1])
        # Samplers that count in sigmas keep latents far larger than the VAE expects.
        shown: Floats = _with_one(latents / max(1.0, float(latents.std()))) @ self._factors
        if not np.isfinite(shown).all():
            raise ValueError("the VAE or the denoiser gives numbers beyond its precision")
        return shown

    def _fit(self, channels: int) -> Floats:
        """Least squares between smooth random latents and what the VAE makes of them; shape (channels + 1, 3)."""
        coarse = np.random.default_rng(0).standard_normal((1, channels, _FIT_SIDE // 4, _FIT_SIDE // 4))
        sample = np.kron(coarse, np.ones((1, 1, 4, 4))).astype(np.float32)
        picture = self._decode(sample)[0]
        pixels = picture.shape[1] // _FIT_SIDE
        colours = picture.reshape(3, _FIT_SIDE, pixels, _FIT_SIDE, pixels).mean(axis=(2, 4))
        rows = _with_one(sample).reshape(-1, channels + 1)
        factors = np.linalg.lstsq(rows, colours.reshape(3, -1).T, rcond=None)[0]
        return np.asarray(factors, np.float32)


def _with_one(latents: Floats) -> Floats:
    """Shape (1, channels, h, w) to (h, w, channels + 1), the last one all ones."""
    rows = np.moveaxis(latents[0], 0, -1)
    return np.concatenate([rows, np.ones((*rows.shape[:2], 1), np.float32)], axis=-1)


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each pixel repeated, or only every so many kept, so that the picture comes near `_SIDE`."""
    longest = max(pixels.shape[:2])
    if longest > _SIDE:
        return np.ascontiguousarray(pixels[:: -(-longest // _SIDE), :: -(-longest // _SIDE)])
    return np.ascontiguousarray(pixels.repeat(_SIDE // longest, axis=0).repeat(_SIDE // longest, axis=1))

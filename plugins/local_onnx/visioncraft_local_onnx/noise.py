"""The noise that torch draws on a CPU from a seed, drawn by NumPy, so that both engines mean the same by a seed.

torch fills 16 and more normal numbers from the 32-bit words of a Mersenne Twister: 24 bits of each make a uniform
number, and in every block of 16 the first eight with the last eight make sixteen normal ones by Box and Muller's
transform (`normal_fill` in
https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/DistributionTemplates.h). Where the count is no
multiple of 16, the last 16 numbers are drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from visioncraft_local_onnx.arrays import Floats

_BLOCK = 16


class Noise:
    """One run's source of noise: `torch.Generator("cpu").manual_seed(seed)`.

    Args:
        seed: Any whole number; as in torch, its lower 32 bits count.
    """

    def __init__(self, seed: int) -> None:
        self._words = np.random.RandomState(seed % 2**32)

    def normal(self, shape: Sequence[int]) -> Floats:
        """`torch.randn(shape, generator=...)` in float32, within 1e-6. Raises `ValueError` for fewer than 16 numbers.

        torch draws so few in another way, which no latent needs.
        """
        count = prod(shape)
        if count < _BLOCK:
            raise ValueError(f"noise of shape {tuple(shape)} has fewer than {_BLOCK} numbers")
        uniform = self._uniform(count)
        whole = count // _BLOCK * _BLOCK
        drawn = np.empty(count, np.float32)
        drawn[:whole] = _box_muller(uniform[:whole])
        if whole < count:
            drawn[-_BLOCK:] = _box_muller(self._uniform(_BLOCK))
        return drawn.reshape(shape)

    def _uniform(self, count: int) -> Floats:
        words = self._words.randint(0, 2**32, size=count, dtype=np.uint32)
        return (words & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def _box_muller(uniform: Floats) -> Floats:
    """Normal numbers of as many uniform ones, block by block, in single precision as torch computes them."""
    blocks = uniform.reshape(-1, 2, _BLOCK // 2)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - blocks[:, 0]))
    angle = np.float32(2 * np.pi) * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()

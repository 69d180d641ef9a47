"""Which module draws the models of a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from visioncraft_local_sd.drawing.protocol import Drawing
from visioncraft_local_sd.drawing.stable_diffusion import StableDiffusion
from visioncraft_local_sd.drawing.z_image import ZImage
from visioncraft_local_sd.weights.add_ons import AddOns

DRAWINGS: Mapping[str, Callable[[Any, AddOns, str], Drawing]] = {
    "sd1": StableDiffusion,
    "sd2": StableDiffusion,
    "sdxl": StableDiffusion,
    "z-image": ZImage,
}
"""By the family's name: from a pipeline, the parts there are and the device to what draws."""

"""Every family, and so every pipeline and every class that a checkpoint may have loaded: the list is closed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from visioncraft_diffusion.errors import ModelRefused

from visioncraft_local_sd.families.chroma import CHROMA
from visioncraft_local_sd.families.family import Config, Edition, Family, ReadConfig
from visioncraft_local_sd.families.flux1 import FLUX1
from visioncraft_local_sd.families.flux2 import FLUX2_KLEIN
from visioncraft_local_sd.families.krea2 import KREA2
from visioncraft_local_sd.families.qwen_image import QWEN_IMAGE
from visioncraft_local_sd.families.sd3 import SD3
from visioncraft_local_sd.families.stable_diffusion import SD1, SD2, SDXL
from visioncraft_local_sd.families.z_image import Z_IMAGE

FAMILIES: Mapping[str, Family] = {
    family.name: family for family in (SD1, SD2, SDXL, Z_IMAGE, FLUX2_KLEIN, FLUX1, QWEN_IMAGE, SD3, CHROMA, KREA2)
}
"""By name."""

PIPELINES: Mapping[str, Mapping[str, re.Pattern[str]]] = {
    pipeline: family.components for family in FAMILIES.values() for pipeline in family.pipelines
}
"""Pipelines that a checkpoint may name, and what may be loaded of each: components and their classes."""


def recognised(index: Config, read: ReadConfig) -> tuple[Family, Edition]:
    """Which family and edition a folder holds.

    Args:
        index: The content of its `model_index.json`, whose pipeline is one of `PIPELINES`.
        read: Reads a component's configuration.

    Raises:
        ModelRefused: No family knows it, or one knows why it cannot be drawn with.
    """
    for family in FAMILIES.values():
        if index["_class_name"] in family.pipelines and (edition := family.recognise(index, read)) is not None:
            return family, edition
    raise ModelRefused(f"is a {index['_class_name']} with parts that no family known here has")

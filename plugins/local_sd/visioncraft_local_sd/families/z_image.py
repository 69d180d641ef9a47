"""Z-Image and Z-Image-Turbo: a single-stream transformer of 6 billion parameters, told by Qwen3-4B."""

from __future__ import annotations

import re

from visioncraft import Defaults

from visioncraft_local_sd.families import flow
from visioncraft_local_sd.families.family import Config, Edition, Family, ReadConfig

_LICENCE = "Apache-2.0"
_TURBOS_SHIFT = 4.5  # Turbo's scheduler has a shift of 3, the base model's one of 6; nothing else tells them apart

TURBO = Edition("Z-Image-Turbo", "12-20GB", flow.limits(), Defaults(9, 0.0, 1024, 1024), _LICENCE)
BASE = Edition("Z-Image", "12-20GB", flow.limits(), Defaults(50, 5.0, 1024, 1024), _LICENCE)


def _recognise(index: Config, read: ReadConfig) -> Edition:
    return TURBO if read("scheduler").get("shift", 1.0) < _TURBOS_SHIFT else BASE


Z_IMAGE = Family(
    name="z-image",
    pipelines=("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"),
    components={
        "transformer": re.compile(r"diffusers\.ZImageTransformer2DModel"),
        "vae": flow.KL_VAE,
        "text_encoder": re.compile(r"transformers\.Qwen3(Model|ForCausalLM)"),
        "tokenizer": flow.QWEN_WORDS,
        "scheduler": flow.SCHEDULER,
    },
    recognise=_recognise,
    abilities=flow.ABILITIES,
    samplers=flow.SAMPLERS,
    maps=4,
)

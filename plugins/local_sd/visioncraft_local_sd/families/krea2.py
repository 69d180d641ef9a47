"""Krea 2: a transformer of 12 billion parameters, told by layers of Qwen3-VL-4B."""

from __future__ import annotations

import re

from visioncraft import Defaults

from visioncraft_local_sd.families import flow
from visioncraft_local_sd.families.family import Config, Edition, ReadConfig, Stock
from visioncraft_local_sd.families.qwen_image import VIDEO_VAE

RAW = Edition("Krea 2", "26-36GB", flow.limits(), Defaults(28, 4.5, 1024, 1024))
TURBO = Edition("Krea 2 Turbo", "26-36GB", flow.limits(), Defaults(8, 0.0, 1024, 1024), distilled=True)


def _recognise(index: Config, read: ReadConfig) -> Edition:
    return TURBO if index.get("is_distilled") else RAW


KREA2 = flow.stock_family(
    name="krea2",
    pipelines=("Krea2Pipeline",),
    components={
        "transformer": re.compile(r"diffusers\.Krea2Transformer2DModel"),
        "vae": VIDEO_VAE,
        "text_encoder": re.compile(r"transformers\.Qwen3VLModel"),
        "tokenizer": flow.QWEN_WORDS,
    },
    recognise=_recognise,
    stock=Stock(off=0.0, latents="frames"),
)

"""Chroma1: FLUX.1 schnell made smaller and trained anew with guidance, told by T5-XXL alone."""

from __future__ import annotations

import re

from visioncraft import Defaults

from visioncraft_local_sd.families import flow
from visioncraft_local_sd.families.family import Config, Edition, ReadConfig, Stock

EDITION = Edition("Chroma1", "18-28GB", flow.limits(), Defaults(35, 5.0, 1024, 1024), "Apache-2.0")


def _recognise(index: Config, read: ReadConfig) -> Edition:
    return EDITION


CHROMA = flow.stock_family(
    name="chroma",
    pipelines=("ChromaPipeline", "ChromaImg2ImgPipeline"),
    components={
        "transformer": re.compile(r"diffusers\.ChromaTransformer2DModel"),
        "vae": flow.KL_VAE,
        "text_encoder": flow.T5,
        "tokenizer": flow.T5_WORDS,
    },
    recognise=_recognise,
    left_out=flow.NO_IMAGE_ENCODER,
    stock=Stock("ChromaImg2ImgPipeline"),
)

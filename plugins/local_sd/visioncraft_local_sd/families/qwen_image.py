"""Qwen-Image and Qwen-Image-2512: a transformer of 20 billion parameters, told by Qwen2.5-VL-7B."""

from __future__ import annotations

import re

from visioncraft import Defaults

from visioncraft_local_sd.families import flow
from visioncraft_local_sd.families.family import Config, Edition, ReadConfig, Stock

VIDEO_VAE = re.compile(r"diffusers\.AutoencoderKLQwenImage")
"""Made for videos, whose first frame an image is."""

EDITION = Edition("Qwen-Image", "40-58GB", flow.limits(), Defaults(50, 4.0, 1024, 1024), "Apache-2.0")


def _recognise(index: Config, read: ReadConfig) -> Edition:
    return EDITION


QWEN_IMAGE = flow.stock_family(
    name="qwen-image",
    pipelines=("QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline"),
    components={
        "transformer": re.compile(r"diffusers\.QwenImageTransformer2DModel"),
        "vae": VIDEO_VAE,
        "text_encoder": re.compile(r"transformers\.Qwen2_5_VLForConditionalGeneration"),
        "tokenizer": flow.QWEN_WORDS,
    },
    recognise=_recognise,
    stock=Stock(
        "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline", guidance="true_cfg_scale", nothing=" ", latents="frames"
    ),
)

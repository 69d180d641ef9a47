"""Stable Diffusion 3 and 3.5: transformers of 2 to 8 billion parameters, told by two CLIPs and T5-XXL."""

from __future__ import annotations

import re

from visioncraft import Defaults

from visioncraft_local_sd.families import flow
from visioncraft_local_sd.families.family import Config, Edition, ReadConfig, Stock

_LICENCE = "https://huggingface.co/stabilityai/stable-diffusion-3.5-large/blob/main/LICENSE.md"
_LAYERS_OF_LARGE = 38
_CLIP = re.compile(r"transformers\.CLIPTextModelWithProjection")

LARGE = Edition("Stable Diffusion 3.5 Large", "18-28GB", flow.limits(), Defaults(28, 3.5, 1024, 1024), _LICENCE)
MEDIUM = Edition("Stable Diffusion 3.5 Medium", "10-16GB", flow.limits(), Defaults(40, 4.5, 1024, 1024), _LICENCE)
FIRST = Edition("Stable Diffusion 3 Medium", "10-16GB", flow.limits(), Defaults(28, 7.0, 1024, 1024), _LICENCE)


def _recognise(index: Config, read: ReadConfig) -> Edition:
    transformer = read("transformer")
    if transformer.get("num_layers", 0) >= _LAYERS_OF_LARGE:
        return LARGE
    return MEDIUM if transformer.get("dual_attention_layers") else FIRST


SD3 = flow.stock_family(
    name="sd3",
    pipelines=("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"),
    components={
        "transformer": re.compile(r"diffusers\.SD3Transformer2DModel"),
        "vae": flow.KL_VAE,
        "text_encoder": _CLIP,
        "text_encoder_2": _CLIP,
        "text_encoder_3": flow.T5,
        "tokenizer": flow.CLIP_WORDS,
        "tokenizer_2": flow.CLIP_WORDS,
        "tokenizer_3": flow.T5_WORDS,
    },
    recognise=_recognise,
    left_out=flow.NO_IMAGE_ENCODER,
    stock=Stock("StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline", latents="grid"),
)

"""FLUX.1: a transformer of 12 billion parameters, told by CLIP and T5-XXL; guidance is an input of the network."""

from __future__ import annotations

import re

from visioncraft import Defaults
from visioncraft_diffusion.errors import ModelRefused

from visioncraft_local_sd.families import flow
from visioncraft_local_sd.families.family import Config, Edition, ReadConfig, Stock

_LICENCE = "https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md"
_MEMORY = "24-34GB"

DEV = Edition("FLUX.1 dev", _MEMORY, flow.limits(), Defaults(28, 3.5, 1024, 1024), _LICENCE)
SCHNELL = Edition(
    "FLUX.1 schnell",
    _MEMORY,
    flow.limits(),
    Defaults(4, 0.0, 1024, 1024),
    "Apache-2.0",
    distilled=True,
    options={"max_sequence_length": 256},
)


def _recognise(index: Config, read: ReadConfig) -> Edition:
    transformer = read("transformer")
    if (channels := transformer.get("in_channels")) != 4 * read("vae").get("latent_channels", 4):
        raise ModelRefused(f"has a transformer of {channels} channels, for filling or control, which is not drawn here")
    return DEV if transformer.get("guidance_embeds") else SCHNELL


FLUX1 = flow.stock_family(
    name="flux1",
    pipelines=("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"),
    components={
        "transformer": re.compile(r"diffusers\.FluxTransformer2DModel"),
        "vae": flow.KL_VAE,
        "text_encoder": re.compile(r"transformers\.CLIPTextModel"),
        "text_encoder_2": flow.T5,
        "tokenizer": flow.CLIP_WORDS,
        "tokenizer_2": flow.T5_WORDS,
    },
    recognise=_recognise,
    left_out=flow.NO_IMAGE_ENCODER,
    stock=Stock("FluxImg2ImgPipeline", "FluxInpaintPipeline", off=None, negative=False),
)

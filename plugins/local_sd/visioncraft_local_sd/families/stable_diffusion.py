"""Stable Diffusion 1.x, 2.x and XL: a UNet told by CLIP, from folders and from single files."""

from __future__ import annotations

import re
from functools import partial
from typing import get_args

from visioncraft import Ability
from visioncraft_diffusion.errors import ModelRefused
from visioncraft_diffusion.families import FAMILIES as FACTS, Family as Name, family_of, limits_of

from visioncraft_local_sd.families.family import Config, Edition, Family, ReadConfig

INPAINTING_CHANNELS = 9
"""What a denoiser for inpainting reads: noisy latents, the mask, and what the mask leaves of the picture."""

_END, _OPEN_CLIP_PAD = "<|endoftext|>", "!"
_ENCODER = re.compile(r"transformers\.CLIPTextModel(WithProjection)?")
_TOKENIZER = re.compile(r"transformers\.CLIPTokenizer(Fast)?")
_COMPONENTS = {
    "unet": re.compile(r"diffusers\.UNet2DConditionModel"),
    "vae": re.compile(r"diffusers\.AutoencoderKL"),
    "text_encoder": _ENCODER,
    "tokenizer": _TOKENIZER,
    "scheduler": re.compile(r"diffusers\.[A-Za-z0-9]+Scheduler"),
}
_COMPONENTS_XL = {
    **{name: _COMPONENTS[name] for name in ("unet", "vae", "text_encoder")},
    "text_encoder_2": _ENCODER,
    "tokenizer": _TOKENIZER,
    "tokenizer_2": _TOKENIZER,
    "scheduler": _COMPONENTS["scheduler"],
}
_TASKS = ("", "Img2Img", "Inpaint")
_LEFT_OUT = {"feature_extractor": None, "image_encoder": None}
_ABILITIES: frozenset[Ability] = frozenset(get_args(Ability))


def edition_of(name: Name) -> Edition:
    """What is true of every model of one of the three."""
    return Edition(FACTS[name].title, FACTS[name].memory, limits_of("", name))


def _width(unet: Config) -> int:
    return int((unet.get("block_out_channels") or [320])[0])


def _recognise(name: Name, index: Config, read: ReadConfig) -> Edition | None:
    xl, unet = index["_class_name"] in SDXL.pipelines, read("unet")
    channels = unet.get("in_channels", 4)
    if channels not in (4, INPAINTING_CHANNELS):
        raise ModelRefused(f"has a denoiser of {channels} channels; known here: 4 and {INPAINTING_CHANNELS}")
    return edition_of(name) if family_of(xl, unet.get("cross_attention_dim")) == name else None


SD1 = Family(
    name="sd1",
    pipelines=tuple(f"StableDiffusion{task}Pipeline" for task in _TASKS),
    components=_COMPONENTS,
    recognise=partial(_recognise, "sd1"),
    left_out={**_LEFT_OUT, "safety_checker": None, "requires_safety_checker": False},
    denoiser="unet",
    width=_width,
    abilities=_ABILITIES,
    side=FACTS["sd1"].side,
    half="fp16",
    channels_last=frozenset({"cpu", "cuda"}),
    clip_pads={"tokenizer": _END},
    compiles=True,
    taesd="taesd",
)
SD2 = Family(
    name="sd2",
    pipelines=SD1.pipelines,
    components=_COMPONENTS,
    recognise=partial(_recognise, "sd2"),
    left_out=SD1.left_out,
    denoiser="unet",
    width=_width,
    abilities=_ABILITIES,
    side=FACTS["sd2"].side,
    half="fp16",
    channels_last=SD1.channels_last,
    clip_pads={"tokenizer": _OPEN_CLIP_PAD},
    compiles=True,
    taesd="taesd",
)
SDXL = Family(
    name="sdxl",
    pipelines=tuple(f"StableDiffusionXL{task}Pipeline" for task in _TASKS),
    components=_COMPONENTS_XL,
    recognise=partial(_recognise, "sdxl"),
    left_out=_LEFT_OUT,
    denoiser="unet",
    width=_width,
    abilities=_ABILITIES,
    side=FACTS["sdxl"].side,
    half="fp16",
    vae_overflows=True,
    channels_last=frozenset({"cpu"}),  # by docs/benchmarks.md it is slower so on CUDA
    clip_pads={"tokenizer": _END, "tokenizer_2": _OPEN_CLIP_PAD},
    compiles=True,
    taesd="taesdxl",
)

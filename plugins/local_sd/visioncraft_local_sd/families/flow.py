"""What families of transformers with flow matching have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from visioncraft import Ability, Limits

from visioncraft_local_sd.families.family import Config, Edition, Family, ReadConfig, Stock

SCHEDULER = re.compile(r"diffusers\.FlowMatchEulerDiscreteScheduler")
KL_VAE = re.compile(r"diffusers\.AutoencoderKL")
SAMPLERS = ("euler", "euler_karras", "euler_exponential", "euler_beta")
"""The one step rule of flow matching, on the noise schedules that its scheduler has."""

ABILITIES: frozenset[Ability] = frozenset({"init_image", "mask", "loras", "hires", "upscaler"})
"""What the loop is able to with such a family."""

NO_IMAGE_ENCODER: Mapping[str, Any] = {"image_encoder": None, "feature_extractor": None}
"""What pipelines are told that could follow an image, too."""

QWEN_WORDS = re.compile(r"transformers\.Qwen2Tokenizer(Fast)?")
CLIP_WORDS = re.compile(r"transformers\.CLIPTokenizer(Fast)?")
T5 = re.compile(r"transformers\.T5EncoderModel")
T5_WORDS = re.compile(r"transformers\.T5Tokenizer(Fast)?")


def width(transformer: Config) -> int:
    """Numbers in a token, from a transformer's configuration."""
    return int(transformer["num_attention_heads"]) * int(transformer["attention_head_dim"])


def limits(size_multiple: int = 16, most_guidance: float = 30.0, side: int = 2048) -> Limits:
    """What models of such a family take. Guidance of 0 is off, as is 1: their own pages say 0."""
    return Limits((1, 150), (0.0, most_guidance), size_multiple, max_resolution=(side, side))


def stock_family(
    name: str,
    pipelines: tuple[str, ...],
    components: Mapping[str, re.Pattern[str]],
    recognise: Callable[[Config, ReadConfig], Edition | None],
    stock: Stock,
    left_out: Mapping[str, Any] | None = None,
) -> Family:
    """A family that diffusers' own pipelines draw: it takes an image, or a mask, where there is a pipeline for it.

    Args:
        name, pipelines, recognise, stock, left_out: As `Family` takes them.
        components: As `Family` takes them, without the scheduler, which is flow matching's.
    """
    lacks = {"hires", *(() if stock.image else ("init_image",)), *(() if stock.mask else ("mask",))}
    return Family(
        name=name,
        pipelines=pipelines,
        components={**components, "scheduler": SCHEDULER},
        recognise=recognise,
        left_out=left_out or {},
        abilities=ABILITIES - lacks,
        samplers=SAMPLERS,
        width=width,
        maps=6,
        stock=stock,
    )

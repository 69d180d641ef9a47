"""What families of transformers with flow matching have in common."""

from __future__ import annotations

import re

from visioncraft import Ability, Limits

from visioncraft_local_sd.families.family import Config

SCHEDULER = re.compile(r"diffusers\.FlowMatchEulerDiscreteScheduler")
KL_VAE = re.compile(r"diffusers\.AutoencoderKL")
SAMPLERS = ("euler", "euler_karras", "euler_exponential", "euler_beta")
"""The one step rule of flow matching, on the noise schedules that its scheduler has."""

ABILITIES: frozenset[Ability] = frozenset({"init_image", "mask", "loras", "hires", "upscaler"})
"""What the loop is able to with such a family."""


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

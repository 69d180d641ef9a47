"""What families of transformers with flow matching have in common."""

from __future__ import annotations

import re

from visioncraft import Ability, Limits

SCHEDULER = re.compile(r"diffusers\.FlowMatchEulerDiscreteScheduler")
KL_VAE = re.compile(r"diffusers\.AutoencoderKL")
SAMPLERS = ("euler", "euler_karras", "euler_exponential", "euler_beta")
"""The one step rule of flow matching, on the noise schedules that its scheduler has."""

ABILITIES: frozenset[Ability] = frozenset({"init_image", "mask", "loras", "hires", "upscaler"})
"""What the loop is able to with such a family."""


def limits(size_multiple: int = 16, most_guidance: float = 30.0, side: int = 2048) -> Limits:
    """What models of such a family take. Guidance of 0 is off, as is 1: their own pages say 0."""
    return Limits((1, 150), (0.0, most_guidance), size_multiple, max_resolution=(side, side))

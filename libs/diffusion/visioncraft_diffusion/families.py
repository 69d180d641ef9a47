"""Families of models: what people read of each, what it takes, and how its parts are recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from visioncraft import Limits, canonical_id

Family = Literal["sd1", "sd2", "sdxl"]

SD15 = "stable-diffusion-1.5"
"""The model that the API's contract states limits for."""

_STEPS, _GUIDANCE = (1, 150), (0.0, 30.0)  # distilled models draw in 1 to 8 steps, with little guidance or none


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """What is true of every model of a family.

    Args:
        title: Its name, as people read it.
        memory: The GB that it takes, as people read them.
        max_resolution: Greatest (width, height) in pixels.
        side: The side in pixels of the images that it was trained on.
        context: The width of the text that its cross-attention reads.
        word: The width of one word's vector in its last text encoder.
    """

    title: str
    memory: str
    max_resolution: tuple[int, int]
    side: int
    context: int
    word: int


FAMILIES: Mapping[Family, FamilyFacts] = {
    "sd1": FamilyFacts("Stable Diffusion 1.x", "4-6GB", (1024, 1024), side=512, context=768, word=768),
    "sd2": FamilyFacts("Stable Diffusion 2.x", "5-7GB", (1024, 1024), side=768, context=1024, word=1024),
    "sdxl": FamilyFacts("Stable Diffusion XL", "8-12GB", (2048, 2048), side=1024, context=2048, word=1280),
}


def family_of(xl: bool, context: object) -> Family:
    """Tells the family of a whole model.

    Args:
        xl: Whether it has XL's two text encoders. Small models of that kind read text of any width.
        context: `cross_attention_dim` in its denoiser's configuration.

    Returns:
        The family; `sd1` for a width that no family has.
    """
    if xl:
        return "sdxl"
    return "sd2" if context == FAMILIES["sd2"].context else "sd1"


def family_of_context(width: object) -> str:
    """Returns the family whose cross-attention reads text of this width; empty where there is none."""
    return next((family for family, facts in FAMILIES.items() if facts.context == width), "")


def family_of_word(width: int) -> str:
    """Returns the family whose words have vectors of this width; empty where there is none."""
    return next((family for family, facts in FAMILIES.items() if facts.word == width), "")


def limits_of(model_id: str, family: Family) -> Limits:
    """Returns what a model takes: the contract's limits for the contract's model, else those of its family."""
    if canonical_id(model_id) == canonical_id(SD15):
        return Limits()
    return Limits(_STEPS, _GUIDANCE, max_resolution=FAMILIES[family].max_resolution)

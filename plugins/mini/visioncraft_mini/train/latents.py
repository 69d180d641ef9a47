"""The training set of the denoiser: every variant of every picture, encoded once."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from visioncraft_mini.train import pictures, scenes, vae
from visioncraft_mini.train.concepts import all_concepts

PAPERS = {
    "yellow": (1.00, 0.86, 0.25),
    "green": (0.30, 0.75, 0.35),
    "blue": (0.25, 0.50, 0.95),
}
WHITE = (1.0, 1.0, 1.0)
# Height and width of the pictures in pixels of the inner codec, and how much of the training each gets.
SIZES = {(256, 256): 0.90, (384, 384): 0.05, (192, 192): 0.02, (128, 128): 0.01, (256, 384): 0.01, (384, 256): 0.01}


@dataclass(frozen=True)
class Variant:
    """One picture of the training set: a concept, perhaps recoloured, on paper of some colour."""

    concept: int
    colour: str | None = None
    paper: str | None = None


def all_variants() -> list[Variant]:
    """Plain ones first, then recoloured ones, then coloured papers."""
    plain = [Variant(number) for number in range(len(all_concepts()))]
    colours = [
        Variant(number, colour=colour)
        for number, concept in enumerate(all_concepts())
        if concept.hue is not None
        for colour in scenes.HUES
    ]
    return plain + colours + [Variant(variant.concept, paper=paper) for variant in plain for paper in PAPERS]


def variant_weights(variants: list[Variant]) -> Tensor:
    """86% of the samples are plain pictures, 8% recoloured, 6% on coloured paper."""
    kinds = torch.tensor([1 if variant.colour else 2 if variant.paper else 0 for variant in variants])
    shares = torch.tensor([0.86, 0.08, 0.06]) / torch.bincount(kinds, minlength=3).clamp(min=1)
    return shares[kinds]


def framed(image: Tensor, height: int, width: int, paper: Tensor) -> Tensor:
    """A square image [1, 3, 256, 256] enlarged to fit and centred on paper: [1, 3, height, width]."""
    side = min(height, width)
    scaled = functional.interpolate(
        image, size=(side, side), mode="bicubic", antialias=True, align_corners=False
    ).clamp(-1, 1)
    canvas = (paper * 2 - 1).view(1, 3, 1, 1).expand(1, 3, height, width).clone()
    top, left = (height - side) // 2, (width - side) // 2
    canvas[..., top : top + side, left : left + side] = scaled
    return canvas


def picture(modules: Path, variant: Variant) -> tuple[Tensor, Tensor]:
    """The image [1, 3, 256, 256] of a variant and its paper colour [3]."""
    concept = all_concepts()[variant.concept]
    rgba = scenes.picture_of(modules, concept.code)
    if variant.colour and concept.hue is not None:
        rgba = scenes.recoloured(rgba, concept.hue, scenes.HUES[variant.colour])
    paper = torch.tensor(PAPERS[variant.paper] if variant.paper else WHITE)
    return pictures.on_paper(rgba[None], paper[None]), paper


@torch.no_grad()
def encode_all(codec: AutoencoderKL, modules: Path) -> dict[tuple[int, int], Tensor]:
    """Latents of every variant at every size: {(height, width): [variants, 4, height / 8, width / 8]}.

    Sizes other than the native one get the plain pictures only, so that encoding stays a matter of minutes.
    """
    codec = codec.to(memory_format=torch.channels_last)
    encoded: dict[tuple[int, int], list[Tensor]] = {size: [] for size in SIZES}
    for variant in all_variants():
        image, paper = picture(modules, variant)
        for size in SIZES:
            if size == (256, 256) or not (variant.colour or variant.paper):
                with torch.autocast("cpu", torch.bfloat16):
                    encoded[size].append(vae.encode_mean(codec, framed(image, *size, paper)).float())
    return {size: torch.cat(rows) for size, rows in encoded.items()}


def spread(latents: Tensor) -> float:
    """The latents' standard deviation: what the pipeline's ``scaling_factor`` divides by."""
    return float(latents.std())

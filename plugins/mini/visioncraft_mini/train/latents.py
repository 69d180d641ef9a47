"""The training set of the denoiser: every variant of every picture, encoded once."""

from dataclasses import dataclass
from itertools import permutations
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
SIZES = {(256, 256): 0.84, (384, 384): 0.11, (192, 192): 0.02, (128, 128): 0.01, (256, 384): 0.01, (384, 256): 0.01}
# What is drawn side by side in every pairing: things that people like to ask for together.
COMPANIONS = (
    "1f431", "1f436", "1f430", "1f98a", "1f42d", "1f43c", "1f981", "1f984", "1f916", "1f600", "1f34e", "1f34c", "1f355",
    "1f354", "2615", "1f339", "1f333", "1f3e0", "1f697", "1f680", "2600", "1f319", "2b50", "2764",
)  # fmt: skip
# Plain pictures, recoloured ones, ones on coloured paper, pairs.
SHARES = (0.80, 0.08, 0.06, 0.06)


@dataclass(frozen=True)
class Variant:
    """One picture of the training set: a concept, perhaps recoloured, on coloured paper or left of another."""

    concept: int
    colour: str | None = None
    paper: str | None = None
    beside: int | None = None

    @property
    def kind(self) -> int:
        """Its place in ``SHARES``."""
        return 3 if self.beside is not None else 1 if self.colour else 2 if self.paper else 0


def all_variants() -> list[Variant]:
    """Plain ones first, then recoloured ones, then coloured papers, then pairs."""
    plain = [Variant(number) for number in range(len(all_concepts()))]
    colours = [
        Variant(number, colour=colour)
        for number, concept in enumerate(all_concepts())
        if concept.hue is not None
        for colour in scenes.HUES
    ]
    papers = [Variant(variant.concept, paper=paper) for variant in plain for paper in PAPERS]
    paired = [number for number, concept in enumerate(all_concepts()) if concept.code in COMPANIONS]
    return plain + colours + papers + [Variant(one, beside=other) for one, other in permutations(paired, 2)]


def variant_weights(variants: list[Variant]) -> Tensor:
    """The share of each variant in the samples; those of one kind have equal shares."""
    kinds = torch.tensor([variant.kind for variant in variants])
    return (torch.tensor(SHARES) / torch.bincount(kinds, minlength=len(SHARES)).clamp(min=1))[kinds]


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
    if variant.beside is not None:
        rgba = scenes.side_by_side(rgba, scenes.picture_of(modules, all_concepts()[variant.beside].code))
    paper = torch.tensor(PAPERS[variant.paper] if variant.paper else WHITE)
    return pictures.on_paper(rgba[None], paper[None]), paper


@torch.no_grad()
def encode_all(codec: AutoencoderKL, modules: Path) -> dict[tuple[int, int], Tensor]:
    """Latents of every variant at every size: {(height, width): [variants, 4, height / 8, width / 8]}.

    ``codec`` is the grown one, of factor 16 on pictures of twice the size. Sizes other than the native one get the
    plain pictures only, so that encoding stays a matter of minutes.
    """
    codec = codec.to(memory_format=torch.channels_last)
    encoded: dict[tuple[int, int], list[Tensor]] = {size: [] for size in SIZES}
    for variant in all_variants():
        image, paper = picture(modules, variant)
        for size in SIZES:
            if size == (256, 256) or variant.kind == 0:
                large = pictures.doubled(framed(image, *size, paper)).to(codec.device)
                with torch.autocast(codec.device.type, torch.bfloat16):
                    encoded[size].append(vae.encode_mean(codec, large).float().cpu())
    return {size: torch.cat(rows) for size, rows in encoded.items()}


def spread(latents: Tensor) -> float:
    """The latents' standard deviation: what the pipeline's ``scaling_factor`` divides by."""
    return float(latents.std())

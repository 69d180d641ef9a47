"""The four measurements: right concepts, right colours, the codec, seconds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image

from visioncraft_mini.evaluate.features import Array, disturbed, features, ranks
from visioncraft_mini.evaluate.phrases import Phrase
from visioncraft_mini.train import pictures, scenes, vae
from visioncraft_mini.train.concepts import all_concepts
from visioncraft_mini.train.sheet import draw
from visioncraft_mini.train.words import held_out_codes

# Prompt and the hue in degrees that its picture must have.
COLOURS = (
    ("red apple", 352), ("green apple", 90), ("red heart", 350), ("blue heart", 218), ("green heart", 140),
    ("yellow heart", 42), ("purple heart", 270), ("red circle", 350), ("blue circle", 215), ("green circle", 140),
    ("yellow circle", 42), ("orange circle", 20),
)  # fmt: skip
HUE_TOLERANCE = 35


@dataclass(frozen=True)
class Share:
    """Hits out of so many."""

    hits: int
    of: int

    def __str__(self) -> str:
        return f"{self.hits} of {self.of} ({self.hits / max(1, self.of):.1%})"


def original(modules: Path, code: str) -> Image.Image:
    """The training picture of a concept on white paper, 256x256."""
    paper = torch.ones(1, 3)
    pixels = pictures.on_paper(scenes.picture_of(modules, code)[None], paper)[0]
    return Image.fromarray(((pixels + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def originals(modules: Path) -> list[Array]:
    """The features of every concept's picture."""
    return [features(original(modules, concept.code)) for concept in all_concepts()]


def shares(places: Sequence[int]) -> tuple[Share, Share]:
    """Top-1 and top-5 of places that count from 0."""
    return Share(sum(place < 1 for place in places), len(places)), Share(
        sum(place < 5 for place in places), len(places)
    )


def own_accuracy(modules: Path, known: list[Array], seed: int = 0) -> tuple[Share, Share]:
    """How well the features find the originals again when these are turned, shrunk, blurred and faded."""
    chance = np.random.default_rng(seed)
    seen = [features(disturbed(original(modules, concept.code), chance)) for concept in all_concepts()]
    return shares(ranks(seen, known, range(len(known))))


def draw_phrases(
    pipe: StableDiffusionPipeline, phrases: Sequence[Phrase], guidance: float
) -> tuple[list[Image.Image], float]:
    """The picture of each phrase, seeds counting from 0, and the mean seconds of one."""
    started = time.perf_counter()
    drawn = [draw(pipe, phrase.text, seed, guidance=guidance) for seed, phrase in enumerate(phrases)]
    return drawn, (time.perf_counter() - started) / max(1, len(phrases))


def mean_hue(picture: Image.Image) -> float:
    """Degrees of the mean direction of the hues of coloured pixels; nan where nothing is coloured."""
    hue, saturation, _ = np.asarray(picture.convert("HSV")).reshape(-1, 3).astype(np.float64).T
    angles = hue[saturation > 80] * 2 * np.pi / 255
    return float(np.rad2deg(np.angle(np.exp(1j * angles).mean())) % 360) if len(angles) else float("nan")


def right_hue(picture: Image.Image, wanted: float) -> bool:
    """Whether the picture's hue is near the wanted one."""
    return abs((mean_hue(picture) - wanted + 180) % 360 - 180) < HUE_TOLERANCE


def colours(pipe: StableDiffusionPipeline, guidance: float) -> tuple[Share, list[Image.Image]]:
    """The colour test: how many of the prompts got their colour, and what was drawn."""
    drawn = [draw(pipe, prompt, seed, guidance=guidance) for seed, (prompt, _) in enumerate(COLOURS)]
    hits = [right_hue(picture, hue) for picture, (_, hue) in zip(drawn, COLOURS, strict=True)]
    return Share(sum(hits), len(hits)), drawn


def codec_psnr(codec: AutoencoderKL, modules: Path) -> float:
    """Decibels, encoded and decoded at 512x512, on the pictures that the codec never saw."""
    return vae.measure_psnr(codec, pictures.load_cutouts(modules, held_out_codes()))

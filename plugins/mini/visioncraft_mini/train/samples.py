"""Batches for the denoiser: cached latents and captions that were tokenised beforehand."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from visioncraft_mini.train.captions import Captioner
from visioncraft_mini.train.concepts import all_concepts
from visioncraft_mini.train.latents import SIZES, Variant, all_variants, variant_weights
from visioncraft_mini.train.tokens import LENGTH

EMPTY_SHARE = 0.10
CAPTIONS_PER_PLAIN, CAPTIONS_PER_OTHER, CAPTIONS_OF_NOTHING = 400, 24, 400


def tokenise(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token numbers [n, 77] as int16."""
    encoded = tokenizer(captions, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    numbers: Tensor = encoded.input_ids.to(torch.int16)
    return numbers


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Args:
        clean: Latents [n, 4, h, w] of deviation 1.
        tokens: Captions [n, 77].
        concepts: Numbers [n] of the concepts; -1 where the caption is empty.
    """

    clean: Tensor
    tokens: Tensor
    concepts: Tensor


class Emphasis:
    """Draws a concept more often the worse it still is: its error against what is usual at the same noise."""

    def __init__(self, concepts: int) -> None:
        self.error = torch.ones(concepts)
        self.usual = torch.zeros(10)

    def note(self, concepts: Tensor, steps: Tensor, errors: Tensor) -> None:
        """Learn from one batch: numbers of concepts (-1: none), steps 0..999 and squared errors, each [n]."""
        for concept, level, error in zip(concepts.tolist(), (steps // 100).tolist(), errors.tolist(), strict=True):
            usual = float(self.usual[level]) or error
            self.usual[level] = usual + 0.02 * (error - usual)
            if concept >= 0:
                self.error[concept] += 0.1 * (error / max(usual, 1e-6) - self.error[concept])

    def weights(self) -> Tensor:
        """A weight for each concept, around 1."""
        return (self.error / self.error.mean()).clamp(0.5, 3.0)


class Samples:
    """Draws batches; every call takes one size, so that a batch is one tensor."""

    def __init__(
        self, latents: dict[tuple[int, int], Tensor], modules: Path, tokenizer: CLIPTokenizer, seed: int
    ) -> None:
        self.emphasis = Emphasis(len(all_concepts()))
        self.latents = latents
        self.variants = all_variants()
        self.sizes = list(latents)
        self.size_weights = torch.tensor([SIZES[size] for size in self.sizes])
        self.weights = variant_weights(self.variants)
        self.plain = len(all_concepts())
        self.concepts = torch.tensor([variant.concept for variant in self.variants])
        captioner = Captioner(modules, seed)
        self.captions = [tokenise(tokenizer, _captions(captioner, variant)) for variant in self.variants]
        self.nothing = tokenise(tokenizer, [captioner.nothing() for _ in range(CAPTIONS_OF_NOTHING)])

    def batch(self, count: int) -> Batch:
        """A batch of ``count`` samples; larger pictures come in smaller batches."""
        size = self.sizes[int(torch.multinomial(self.size_weights, 1))]
        count = max(2, min(count, count * 256 * 256 // (size[0] * size[1])))
        weights = (self.weights * self.emphasis.weights()[self.concepts])[: len(self.latents[size])]
        chosen = torch.multinomial(weights, count, replacement=True)
        empty = torch.rand(count) < EMPTY_SHARE
        # No words, white paper: guidance would push a paper that is white away from the mean of coloured ones.
        chosen[empty] = torch.randint(self.plain, (count,))[empty]
        tokens = torch.stack([_any(self.captions[number]) for number in chosen.tolist()])
        tokens[empty] = torch.stack([_any(self.nothing) for _ in range(count)])[empty]
        return Batch(self.latents[size][chosen], tokens.long(), self.concepts[chosen].where(~empty, -1))


def _any(rows: Tensor) -> Tensor:
    return rows[int(torch.randint(len(rows), ()))]


def _captions(captioner: Captioner, variant: Variant) -> list[str]:
    concept = all_concepts()[variant.concept]
    if variant.beside is not None:
        return [captioner.pair(concept, all_concepts()[variant.beside]) for _ in range(CAPTIONS_PER_OTHER)]
    count = CAPTIONS_PER_OTHER if variant.colour or variant.paper else CAPTIONS_PER_PLAIN
    return [captioner.caption(concept, variant.colour, variant.paper) for _ in range(count)]

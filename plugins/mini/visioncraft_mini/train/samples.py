"""Batches for the denoiser: cached latents and captions that were tokenised beforehand."""

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


class Samples:
    """Draws batches; every call takes one size, so that a batch is one tensor."""

    def __init__(
        self, latents: dict[tuple[int, int], Tensor], modules: Path, tokenizer: CLIPTokenizer, seed: int
    ) -> None:
        self.latents = latents
        self.variants = all_variants()
        self.sizes = list(latents)
        self.size_weights = torch.tensor([SIZES[size] for size in self.sizes])
        self.weights = variant_weights(self.variants)
        self.plain = len(all_concepts())
        captioner = Captioner(modules, seed)
        self.captions = [tokenise(tokenizer, _captions(captioner, variant)) for variant in self.variants]
        self.nothing = tokenise(tokenizer, [captioner.nothing() for _ in range(CAPTIONS_OF_NOTHING)])

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Latents [n, 4, h, w] and tokens [n, 77]; larger pictures come in smaller batches."""
        size = self.sizes[int(torch.multinomial(self.size_weights, 1))]
        count = max(2, min(count, count * 256 * 256 // (size[0] * size[1])))
        weights = self.weights[: len(self.latents[size])]
        chosen = torch.multinomial(weights, count, replacement=True)
        tokens = torch.stack([_any(self.captions[number]) for number in chosen.tolist()])
        empty = torch.rand(count) < EMPTY_SHARE
        tokens[empty] = torch.stack([_any(self.nothing) for _ in range(count)])[empty]
        return self.latents[size][chosen], tokens.long()


def _any(rows: Tensor) -> Tensor:
    return rows[int(torch.randint(len(rows), ()))]


def _captions(captioner: Captioner, variant: Variant) -> list[str]:
    concept = all_concepts()[variant.concept]
    count = CAPTIONS_PER_OTHER if variant.colour or variant.paper else CAPTIONS_PER_PLAIN
    return [captioner.caption(concept, variant.colour, variant.paper) for _ in range(count)]

"""From texts to what the denoiser is told, remembered for the next request with the same texts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import torch
from visioncraft import GenerationRequest, whole_text

from visioncraft_local_sd.text.kept import Kept
from visioncraft_local_sd.text.prompts import check_clip_skip, encode_prompts, fragments
from visioncraft_local_sd.text.textual_inversion import TextualInversions

_KEPT = 64  # texts; a pair of SD 1.x takes half a MB in fp32, one of XL 1.3 MB


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What one branch of a request tells the denoiser.

    Args:
        embeddings: Of the text, in the denoiser's precision: (1, tokens, channels).
        pooled: For XL, of the whole text: (1, channels).
        sizes: For XL, the picture's original size, crop and target size: (1, 6).
    """

    embeddings: torch.Tensor
    pooled: torch.Tensor | None = None
    sizes: torch.Tensor | None = None

    @property
    def key(self) -> Hashable:
        """Equal for those that stack: texts of as many tokens."""
        return self.embeddings.shape


class TextEncoder:
    """The text encoders of one model.

    Args:
        pipe: The diffusers pipeline.
        dtype: The denoiser's precision.
        words: Has the words that were learned from pictures known while a prompt that uses them is encoded.
        state: Another one whenever texts may mean something else: what was remembered before is not used.
    """

    def __init__(self, pipe: Any, dtype: torch.dtype, words: TextualInversions, state: Callable[[], Hashable]) -> None:
        self._pipe = pipe
        self._dtype = dtype
        self._distilled = pipe.unet.config.time_cond_proj_dim is not None
        self._words, self._state = words, state
        self._kept: Kept[tuple[Conditioning, ...]] = Kept(_KEPT)

    def encode(self, request: GenerationRequest) -> tuple[Conditioning, ...]:
        """The branches of a request: the negative one first where guidance is on, as it is above 1."""
        guided = self.guided(request)
        branches = self._remembered(request, guided)
        whole = branches[0].pooled
        if whole is None:
            return branches
        sizes = self._sizes(request.width, request.height, whole)
        return tuple(replace(branch, sizes=sizes) for branch in branches)

    def guided(self, request: GenerationRequest) -> bool:
        """Whether there is a branch for the negative prompt: a model distilled with guidance is told its scale."""
        return request.guidance_scale > 1 and not self._distilled

    def _remembered(self, request: GenerationRequest, guided: bool) -> tuple[Conditioning, ...]:
        negative = request.negative_prompt if guided else ""
        key = (request.prompt, negative, guided, request.clip_skip, request.loras, self._state())
        return self._kept.get(key, lambda: self._encoded(request.prompt, negative, guided, request.clip_skip))

    def _encoded(self, prompt: str, negative: str, guided: bool, clip_skip: int) -> tuple[Conditioning, ...]:
        check_clip_skip(self._pipe, clip_skip)
        with self._words.known(f"{prompt} {negative}") as spelled:
            told = fragments("prompt", spelled(whole_text(prompt)))
            # None and not "": XL then uses zeros, as it was trained with
            not_told = fragments("negative_prompt", spelled(whole_text(negative))) if negative else None
            text, without, *pooled = encode_prompts(self._pipe, told, not_told, guided, clip_skip)
        says = Conditioning(text.to(self._dtype), *pooled[:1])
        return (Conditioning(without.to(self._dtype), *pooled[1:]), says) if guided else (says,)

    def _sizes(self, width: int, height: int, pooled: torch.Tensor) -> torch.Tensor:
        size = (height, width)
        sizes: torch.Tensor = self._pipe._get_add_time_ids(
            size, (0, 0), size, dtype=pooled.dtype, text_encoder_projection_dim=pooled.shape[-1]
        )
        return sizes.to(pooled.device)

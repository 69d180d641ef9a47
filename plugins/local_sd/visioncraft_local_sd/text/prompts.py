"""Weighted words, prompts past the text encoder's 77 tokens, and words that were learned from pictures.

The syntax is AUTOMATIC1111's (its wiki, "Attention/emphasis"): `(word:1.3)` weighs a word, `(word)` is 1.1 and `[word]`
1/1.1, a backslash takes a bracket's meaning away. compel (https://github.com/damian0815/compel) encodes what has
weights or is long: in chunks of 75 tokens, each weighed against the empty prompt. Any other prompt goes through
diffusers' own encoder, untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from visioncraft import InvalidRequest

MAX_WEIGHT = 10.0
"""The heaviest that a word may be."""

_ROUND, _SQUARE = 1.1, 1 / 1.1
_TOKEN = re.compile(r"\\[()\[\]\\]|[(\[]|:\s*(?P<weight>[+-]?[\d.]+)\s*\)|[)\]]|[^\\()\[\]:]+|[\\:]")


@dataclass(frozen=True, slots=True)
class Fragment:
    """Words of one weight."""

    text: str
    weight: float = 1.0


def fragments(field: str, prompt: str) -> list[Fragment]:
    """A prompt as pieces with their weights. Raises `InvalidRequest` that names the field for a weight past bounds."""
    pieces: list[list[Any]] = []  # text and weight, the weights of open brackets still to come
    rounds: list[int] = []  # where each open bracket began
    squares: list[int] = []
    for match in _TOKEN.finditer(prompt):
        sign, weight = match[0], match["weight"]
        if sign in ("(", "["):
            (rounds if sign == "(" else squares).append(len(pieces))
        elif weight is not None and rounds:
            _weigh(pieces[rounds.pop() :], _number(field, weight))
        elif sign == ")" and rounds:
            _weigh(pieces[rounds.pop() :], _ROUND)
        elif sign == "]" and squares:
            _weigh(pieces[squares.pop() :], _SQUARE)
        else:
            pieces.append([sign[1:] if len(sign) == 2 and sign[0] == "\\" else sign, 1.0])
    for began, factor in [*((each, _ROUND) for each in rounds), *((each, _SQUARE) for each in squares)]:
        _weigh(pieces[began:], factor)
    return _merged(field, pieces)


def encode_prompts(
    pipe: Any, prompt: Sequence[Fragment], negative: Sequence[Fragment] | None, guided: bool, clip_skip: int
) -> tuple[Any, ...]:
    """What `pipe.encode_prompt` answers, for weighted and long prompts too.

    Args:
        pipe: A diffusers pipeline of Stable Diffusion 1.x, 2.x or XL.
        prompt, negative: As `fragments` gives them; None for no negative prompt.
        guided: Whether the negative branch is wanted.
        clip_skip: As in `GenerationRequest`.
    """
    plain = _stock(pipe, prompt, negative, guided, clip_skip)
    if not any(_needs_compel(pipe, text) for text in (prompt, negative or ())):
        return plain
    with _without_last_layers(pipe, clip_skip - 1):
        told = _embedded(pipe, prompt)
        if not guided:
            return (told, *plain[1:])
        without = None if _zeroed(pipe, negative) else _embedded(pipe, negative or [Fragment("")])
        told, without = _same_length(pipe, told, without)
    return (told, without, *plain[2:])


def _stock(
    pipe: Any, prompt: Sequence[Fragment], negative: Sequence[Fragment] | None, guided: bool, clip_skip: int
) -> tuple[Any, ...]:
    """diffusers' own encoding; its `clip_skip` cannot read a single encoder of transformers 5, CLIPTextModel."""
    skipped = clip_skip - 1
    with nullcontext() if _reads_last_but_one(pipe) else _without_last_layers(pipe, skipped):
        encoded = pipe.encode_prompt(
            prompt=_joined(prompt),
            device=pipe._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=guided,
            negative_prompt=_joined(negative) if negative is not None else None,
            clip_skip=skipped if skipped and _reads_last_but_one(pipe) else None,
        )
    return tuple(encoded)


def check_clip_skip(pipe: Any, clip_skip: int) -> None:
    """Raise `InvalidRequest` where a text encoder has no such layer."""
    layers = min(encoder.config.num_hidden_layers for encoder in encoders_of(pipe))
    if clip_skip > layers:
        issue = f"1 to {layers}: the model's text encoder has so many layers"
        raise InvalidRequest.of("clip_skip", issue)


def encoders_of(pipe: Any) -> list[Any]:
    """The text encoders that a pipeline has."""
    return _present(pipe, "text_encoder")


def tokenizers_of(pipe: Any) -> list[Any]:
    """Their tokenizers."""
    return _present(pipe, "tokenizer")


def _present(pipe: Any, part: str) -> list[Any]:
    found = (getattr(pipe, name, None) for name in (part, f"{part}_2"))
    return [each for each in found if each is not None]


def _reads_last_but_one(pipe: Any) -> bool:
    """Whether the denoiser is told what text encoders' last layer but one says, as with two encoders."""
    return len(encoders_of(pipe)) > 1


def _weigh(pieces: list[list[Any]], factor: float) -> None:
    for piece in pieces:
        piece[1] *= factor


def _number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _no_weight(field, text) from None


def _merged(field: str, pieces: list[list[Any]]) -> list[Fragment]:
    merged: list[Fragment] = []
    for text, weight in pieces:
        if not 0 <= weight <= MAX_WEIGHT:
            raise _no_weight(field, f"{weight:g}")
        if merged and merged[-1].weight == weight:
            merged[-1] = Fragment(merged[-1].text + text, weight)
        else:
            merged.append(Fragment(text, weight))
    return merged or [Fragment("")]


def _no_weight(field: str, weight: str) -> InvalidRequest:
    bounds = f"words weigh 0 to {MAX_WEIGHT:g}"
    issue = f"a weight of {weight[:20]}; {bounds}, and a backslash before a bracket takes its meaning away"
    return InvalidRequest.of(field, issue)


def _joined(prompt: Sequence[Fragment]) -> str:
    return "".join(fragment.text for fragment in prompt)


def _needs_compel(pipe: Any, prompt: Sequence[Fragment]) -> bool:
    if any(fragment.weight != 1 for fragment in prompt):
        return True
    for tokenizer in tokenizers_of(pipe):
        text = pipe.maybe_convert_prompt(_joined(prompt), tokenizer)
        if len(tokenizer(text, truncation=False, verbose=False).input_ids) > tokenizer.model_max_length:
            return True
    return False


def _zeroed(pipe: Any, negative: Sequence[Fragment] | None) -> bool:
    """Whether zeros stand for no negative prompt, which XL was trained with."""
    return negative is None and bool(pipe.config.get("force_zeros_for_empty_prompt"))


def _providers(pipe: Any) -> list[Any]:
    from compel.diffusers_textual_inversion_manager import DiffusersTextualInversionManager
    from compel.embeddings_provider import EmbeddingsProvider, ReturnedEmbeddingsType

    kind = ReturnedEmbeddingsType.LAST_HIDDEN_STATES_NORMALIZED
    if _reads_last_but_one(pipe):
        kind = ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
    return [
        EmbeddingsProvider(
            tokenizer=tokenizer,
            text_encoder=encoder,
            textual_inversion_manager=DiffusersTextualInversionManager(pipe),
            dtype_for_device_getter=lambda _, encoder=encoder: encoder.dtype,
            truncate=False,
            returned_embeddings_type=kind,
            device=str(pipe._execution_device),
        )
        for tokenizer, encoder in zip(tokenizers_of(pipe), encoders_of(pipe), strict=True)
    ]


def _embedded(pipe: Any, prompt: Sequence[Fragment]) -> torch.Tensor:
    texts, weights = [fragment.text for fragment in prompt], [fragment.weight for fragment in prompt]
    device = str(pipe._execution_device)
    parts = [
        provider.get_embeddings_for_weighted_prompt_fragments([texts], [weights], device=device)
        for provider in _providers(pipe)
    ]
    length = max(part.shape[1] for part in parts)
    whole: torch.Tensor = torch.cat([_padded(pipe, part, length, at) for at, part in enumerate(parts)], dim=-1)
    return whole


def _same_length(pipe: Any, told: torch.Tensor, without: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    if without is None:
        return told, torch.zeros_like(told)
    if told.shape[1] == without.shape[1]:
        return told, without
    empty = _embedded(pipe, [Fragment("")])
    length = max(told.shape[1], without.shape[1])
    return _filled(told, empty, length), _filled(without, empty, length)


def _padded(pipe: Any, part: torch.Tensor, length: int, encoder: int) -> torch.Tensor:
    """One encoder's chunks, as many as the other's."""
    if part.shape[1] == length:
        return part
    empty = _providers(pipe)[encoder].get_embeddings_for_weighted_prompt_fragments(
        [[""]], [[1.0]], device=str(pipe._execution_device)
    )
    return _filled(part, empty, length)


def _filled(part: torch.Tensor, empty: torch.Tensor, length: int) -> torch.Tensor:
    missing = (length - part.shape[1]) // empty.shape[1]
    return torch.cat([part, *[empty] * missing], dim=1)


@contextmanager
def _without_last_layers(pipe: Any, count: int) -> Iterator[None]:
    """While the block runs the text encoders end `count` layers earlier."""
    stacks = [getattr(encoder, "text_model", encoder).encoder for encoder in encoders_of(pipe)]
    whole = [stack.layers for stack in stacks]
    try:
        for stack, layers in zip(stacks, whole, strict=True):
            stack.layers = layers[: len(layers) - count]
        yield
    finally:
        for stack, layers in zip(stacks, whole, strict=True):
            stack.layers = layers

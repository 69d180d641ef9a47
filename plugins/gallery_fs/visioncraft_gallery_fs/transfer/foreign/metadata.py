"""What a reader found: the one shape that all readers answer in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visioncraft import FACT_ORIGINAL_SEED


class HalfUnderstood(ValueError):
    """Parameters of a known program that cannot be read right; the message says which. Such a picture is not taken."""


_INT64 = 2**63
_DIGITS = re.compile(r"[+-]?[0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class ForeignMetadata:
    """How another program drew a picture.

    Args:
        program: `automatic1111`, `comfyui` or `invokeai`.
        prompt, negative_prompt: As it says.
        model: The checkpoint by its file's name without a folder and an ending; empty where it is not named.
        seed: 0 where it is not named, or none that a picture here can have; see `seed_of`.
        parameters: Further fields of `POST /generate`, of the right types.
        facts: Whatever else is worth keeping, JSON-serialisable.
        left_out: What it was drawn with beside, by the program's own names, which a replay here does without.
    """

    program: str
    prompt: str
    negative_prompt: str = ""
    model: str = ""
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    left_out: Sequence[str] = ()


def whole(value: object) -> int | None:
    """A whole number of at most 64 bits, however it is written; None for anything else."""
    number = _integer(value)
    return number if number is not None and -_INT64 <= number < _INT64 else None


def seed_of(value: object) -> tuple[int, dict[str, Any]]:
    """The seed, and what to keep among the facts.

    ComfyUI draws seeds of 64 bits, of which a picture here has 63: a larger one is kept as it was written, and the seed
    is 0 as that of a picture that names none.
    """
    fitting = whole(value)
    if fitting is None and (number := _integer(value)) is not None:
        return 0, {FACT_ORIGINAL_SEED: str(number)}
    return fitting or 0, {}


def check_whole(name: str, value: object) -> None:
    """Raise `HalfUnderstood` for what ought to be a whole number and is there, but is none."""
    if value is not None and _integer(value) is None:
        raise HalfUnderstood(f"its parameters have '{name}: {str(value)[:40]}', which is no whole number")


def real(value: object) -> float | None:
    """A finite number, however it is written; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def _integer(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    number = real(value)
    return None if number is None else int(number)


def settings(steps: object, guidance: object, sampler: object) -> dict[str, Any]:
    """The parameters that every program names, those that are there."""
    named = {
        "num_inference_steps": whole(steps),
        "guidance_scale": real(guidance),
        "sampler": sampler if isinstance(sampler, str) and sampler else None,
    }
    return {name: value for name, value in named.items() if value is not None}


def model_name(name: object) -> str:
    """A checkpoint's name as people know it: `sd15/dreamshaper_8.safetensors` is `dreamshaper_8`."""
    if not isinstance(name, str):
        return ""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    for ending in (".safetensors", ".ckpt", ".sft", ".gguf", ".pt"):
        last = last.removesuffix(ending)
    return last

"""`<lora:ink:0.8>` in a prompt, as AUTOMATIC1111 writes it: a LoRA and its weight, and none of the prompt's words.

Its wiki, "Extra networks", has the syntax. A tag is taken out of the prompt and asks for what `loras` asks for.
Tags that mean more than one LoRA in one weight are refused, because without what they ask for another picture is drawn.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from visioncraft.errors import InvalidRequest

_TAG = re.compile(r"<\s*(lora|lyco|hypernet)\s*:([^<>]*)>", re.IGNORECASE)
_WEIGHTS = ("te", "unet")  # what the second and third part weigh: the text encoder's half and the denoiser's
_SHOWN = 100


def loras_taken_out(prompt: str) -> tuple[str, list[dict[str, Any]]]:
    """A prompt without its tags, and the LoRAs that they ask for as `loras` has them.

    Raises `InvalidRequest` for a tag that asks for what is not supported.
    """
    loras = [_lora(match) for match in _TAG.finditer(prompt)]
    return (_TAG.sub("", prompt).strip(), loras) if loras else (prompt, [])


def check_no_tags(field: str, text: str) -> None:
    """Raise `InvalidRequest` for a text that a tag stands in, and means nothing in."""
    if match := _TAG.search(text):
        _refuse(field, match[0], "a tag is for the prompt, or its LoRA for the field loras; take it out")


def _lora(match: re.Match[str]) -> dict[str, Any]:
    tag, kind = match[0], match[1].lower()
    if kind != "lora":
        what = "hypernetworks are" if kind == "hypernet" else "the tag lyco is"
        _refuse(
            "prompt", tag, f"{what} not supported; take it out, or write <lora:NAME:WEIGHT> for a file that is here"
        )
    name, *parts = [part.strip() for part in match[2].split(":")]
    if not name:
        _refuse("prompt", tag, "it names no LoRA; write <lora:NAME:WEIGHT>, as <lora:ink:0.8>")
    weights = _weights(tag, parts)
    if len(set(weights.values())) > 1:
        _refuse("prompt", tag, "a LoRA has one weight here, for the text encoder and the denoiser; write one")
    return {"name": name, "weight": next(iter(weights.values()), 1.0)}


def _weights(tag: str, parts: list[str]) -> Mapping[str, float]:
    """What a tag's parts weigh, by `te` and `unet`; parts without a name are meant in this order."""
    weights: dict[str, float] = {}
    for place, part in enumerate(parts):
        name, _, value = part.rpartition("=")
        named = name.strip().lower() or (_WEIGHTS[place] if place < len(_WEIGHTS) else "")
        if named not in _WEIGHTS:
            _refuse("prompt", tag, f"'{part[:_SHOWN]}' is not supported; write <lora:NAME:WEIGHT>")
        weights[named] = _number(tag, value)
    return weights


def _number(tag: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        _refuse("prompt", tag, f"its weight is a number, not '{text[:_SHOWN]}'")
    return weight


def _refuse(field: str, tag: str, issue: str) -> NoReturn:
    raise InvalidRequest.of(field, f"{tag[:_SHOWN]}: {issue}")

"""AUTOMATIC1111's web UI and its kin (Forge, SD.Next): the text chunk `parameters`, in a JPEG the EXIF comment.

The prompt, then `Negative prompt: …` on a line of its own, then one line of `Name: value` pairs; a value with a comma
or a colon is quoted as JSON quotes (https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features#png-info).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from visioncraft_gallery_fs.foreign.found import Found, model_name, seed_of, settings

_PAIR = re.compile(r'\s*(?P<name>\w[\w \-/]*?):\s*(?P<value>"(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"
_PLAIN = ("", "Automatic", "Normal", "Simple")
"""Schedules that are a sampler's own, or next to it."""
_KNOWN = {"Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Model", "Size"}


def read(texts: Mapping[str, str]) -> Found | None:
    """What the text says; None where there is none of this kind."""
    lines = texts.get("parameters", "").strip().split("\n")
    # Extensions add lines of their own below: `Template: …` of Dynamic Prompts.
    number, pairs = next(
        ((n, pairs) for n in reversed(range(len(lines))) if "Steps" in (pairs := _pairs(lines[n]))), (0, {})
    )
    if not pairs:
        return None
    prompt, negative = _prompts(lines[:number])
    schedule = pairs.get("Schedule type", "")
    seed, unusual = seed_of(pairs.get("Seed"))
    sampler = pairs.get("Sampler", "") + (f" {schedule}" if schedule not in _PLAIN else "")
    return Found(
        "automatic1111",
        prompt,
        negative,
        model_name(pairs.get("Model")),
        seed,
        settings(pairs["Steps"], pairs.get("CFG scale"), sampler),
        {name: value for name, value in pairs.items() if name not in _KNOWN} | unusual,
    )


def _prompts(lines: list[str]) -> tuple[str, str]:
    """Split where a line begins with `Negative prompt:`, the last such one: a prompt may speak of it too."""
    starts = [number for number, line in enumerate(lines) if line.startswith(_NEGATIVE)]
    if not starts:
        return "\n".join(lines).strip(), ""
    negative = "\n".join(lines[starts[-1] :]).removeprefix(_NEGATIVE)
    return "\n".join(lines[: starts[-1]]).strip(), negative.strip()


def _pairs(line: str) -> dict[str, str]:
    return {match["name"]: _unquoted(match["value"].strip()) for match in _PAIR.finditer(line)}


def _unquoted(value: str) -> str:
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value

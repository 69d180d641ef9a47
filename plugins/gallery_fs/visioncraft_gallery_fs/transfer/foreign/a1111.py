"""AUTOMATIC1111's web UI and its kin (Forge, SD.Next): the text chunk `parameters`, in a JPEG the EXIF comment.

The prompt, then `Negative prompt: …` on a line of its own, then one line of `Name: value` pairs; a value with a comma
or a colon is quoted as JSON quotes (https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features#png-info).
Extensions put JSON there without quotes, and SD.Next once set pairs apart with ` | ` instead of a comma.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from visioncraft_gallery_fs.transfer.foreign.metadata import (
    ForeignMetadata,
    check_whole,
    model_name,
    seed_of,
    settings,
    whole,
)

_NAME = re.compile(r"\s*(?P<name>\w[\w \-/]*?):\s*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PIPED = re.compile(r"\s*\w[\w \-/]*:[^,|]*\|\s*\w[\w \-/]*:")
"""A line whose first two pairs a pipe sets apart."""
_BRACKETS = {"[": "]", "{": "}"}
_NEGATIVE = "Negative prompt:"
_PLAIN = ("", "Automatic", "Normal", "Simple")
"""Schedules that are a sampler's own, or next to it."""
_INGREDIENT = re.compile(
    "Hires upscale$|Denoising strength|Mask |Inpaint|VAE$|ControlNet|ADetailer model|Refiner$|Variation seed$|ENSD|Eta|"
    "Tiling|Face restoration|Hypernet|Token merging|FreeU|Tiled Diffusion|Dynamic thresholding|Regional Prompter|"
    "Ultimate SD upscale|First pass size|Conditional mask|Latent couple|IP-Adapter|CFG mode|Skip Early CFG"
)
"""Pairs that say that something beside model, prompt, seed, sampler and size made the picture what it is."""
_KNOWN = {"Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Model", "Size"}


def read(texts: Mapping[str, str]) -> ForeignMetadata | None:
    """What the text says; None where there is none of this kind.

    Raises `HalfUnderstood` where it is of this kind, but its steps or its seed are no numbers.
    """
    lines = texts.get("parameters", "").strip().split("\n")
    # Extensions add lines of their own below: `Template: …` of Dynamic Prompts.
    number, pairs = next(
        ((n, pairs) for n in reversed(range(len(lines))) if "Steps" in (pairs := _pairs(lines[n]))), (0, {})
    )
    if not pairs:
        return None
    for name in ("Steps", "Seed"):
        check_whole(name, pairs.get(name))
    prompt, negative = _prompts(lines[:number])
    schedule = pairs.get("Schedule type", "")
    seed, unusual = seed_of(pairs.get("Seed"))
    sampler = pairs.get("Sampler", "") + (f" {schedule}" if schedule not in _PLAIN else "")
    return ForeignMetadata(
        "automatic1111",
        prompt,
        negative,
        model_name(pairs.get("Model")),
        seed,
        {**settings(pairs["Steps"], pairs.get("CFG scale"), sampler), **_clip_skip(pairs)},
        {name: value for name, value in pairs.items() if name not in _KNOWN} | unusual,
        [f"{name}: {value[:80]}" for name, value in pairs.items() if _INGREDIENT.match(name)],
    )


def _clip_skip(pairs: Mapping[str, str]) -> dict[str, Any]:
    """`Clip skip: 2`, which this product has too; 1 is what every picture has, and not said."""
    layer = whole(pairs.get("Clip skip"))
    return {} if layer is None or layer <= 1 else {"clip_skip": layer}


def _prompts(lines: list[str]) -> tuple[str, str]:
    """Split where a line begins with `Negative prompt:`, the last such one: a prompt may speak of it too."""
    starts = [number for number, line in enumerate(lines) if line.startswith(_NEGATIVE)]
    if not starts:
        return "\n".join(lines).strip(), ""
    negative = "\n".join(lines[starts[-1] :]).removeprefix(_NEGATIVE)
    return "\n".join(lines[: starts[-1]]).strip(), negative.strip()


def _pairs(line: str) -> dict[str, str]:
    """The line's own pairs. Of two with one name the first counts: what follows comes from extensions."""
    found: dict[str, str] = {}
    for name, value in _each_pair(line, "|" if _PIPED.match(line) else ","):
        found.setdefault(name, value)
    return found


def _each_pair(line: str, separator: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(line):
        if named := _NAME.match(line, at):
            value, end = _value(line, named.end(), separator)
            yield named["name"], value
        else:
            end = at
        following = line.find(separator, end)
        at = len(line) if following < 0 else following + 1


def _value(line: str, start: int, separator: str) -> tuple[str, int]:
    """The value that begins there, and where it ends: what is quoted or in brackets may hold separators and colons."""
    if quoted := _QUOTED.match(line, start):
        return _unquoted(quoted[0]), quoted.end()
    end = _end_of_brackets(line, start) if line[start : start + 1] in _BRACKETS else line.find(separator, start)
    end = len(line) if end < 0 else end
    return line[start:end].strip(), end


def _end_of_brackets(line: str, start: int) -> int:
    """Where what the bracket there opens is closed; the line's end where it never is."""
    try:
        return json.JSONDecoder().raw_decode(line, start)[1]
    except (ValueError, RecursionError):  # Python's own way of writing a dictionary, or something cut off
        opening, closing = line[start], _BRACKETS[line[start]]
    depth = 0
    for at in range(start, len(line)):
        depth += (line[at] == opening) - (line[at] == closing)
        if depth == 0:
            return at + 1
    return len(line)


def _unquoted(value: str) -> str:
    try:
        return str(json.loads(value))
    except ValueError:
        return value

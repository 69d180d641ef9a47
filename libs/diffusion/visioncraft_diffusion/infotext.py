"""The text that AUTOMATIC1111's web UI and its kin (Forge, SD.Next) write into an image: `parameters`.

The prompt, then `Negative prompt: …` on a line of its own, then one line of `Name: value` pairs; a value with a comma
or a colon is quoted as JSON quotes (https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features#png-info).
Extensions put JSON there without quotes, and SD.Next once set pairs apart with ` | ` instead of a comma.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"\s*(?P<name>\w[\w \-/]*?):\s*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PIPED = re.compile(r"\s*\w[\w \-/]*:[^,|]*\|\s*\w[\w \-/]*:")
"""A line whose first two pairs a pipe sets apart."""
_BRACKETS = {"[": "]", "{": "}"}
_NEGATIVE = "Negative prompt:"


@dataclass(frozen=True, slots=True)
class Infotext:
    """What such a text says.

    Args:
        prompt: What was drawn.
        negative_prompt: What was kept out.
        pairs: Everything else by its name, `Steps` among it. Of two pairs with one name the first counts: what follows
            comes from extensions.
    """

    prompt: str
    negative_prompt: str
    pairs: Mapping[str, str]


def read_infotext(text: str) -> Infotext | None:
    """Reads such a text.

    Args:
        text: What stands in an image under `parameters`.

    Returns:
        Its parts; None where it is a text of another kind, without a line of pairs that names the steps.
    """
    lines = text.strip().split("\n")
    for number in reversed(range(len(lines))):  # extensions add lines of their own below
        if "Steps" in (pairs := _pairs(lines[number])):
            prompt, negative = _prompts(lines[:number])
            return Infotext(prompt, negative, pairs)
    return None


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

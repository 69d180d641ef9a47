"""Parameters that a model declares beside those that every request has, and its own defaults.

A generator's parameter that the API does not know, as a palette, is declared by the models that take it. It then has
its place in `GET /models`, `POST /generate`, `visioncraft generate --set`, the image's file and its replay.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

JSON: TypeAlias = str | int | float | bool | None
"""A parameter's value: plain, so that it can be sent to a worker and kept in a file."""

ParameterType = Literal["string", "integer", "number", "boolean"]
"""The type's name in JSON Schema."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_CHARACTERS = 10_000
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}

RESERVED = frozenset(
    {
        *(
            "prompt",
            "negative_prompt",
            "num_inference_steps",
            "guidance_scale",
            "width",
            "height",
            "seed",
            "num_images",
        ),
        *(
            "model",
            "sampler",
            "init_image",
            "strength",
            "mask",
            "loras",
            "controlnet",
            "clip_skip",
            "hires",
            "upscaler",
        ),
        *(
            "upscale",
            "leonardo_model",
            "aspect_ratio",
            "preset_style",
            "quality",
            "priority",
            "dialect",
            "owner",
            "job_id",
            "extra",
        ),
    }
)
"""Fields that every request has; no declared parameter may have such a name."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that a model takes beside the request's own fields.

    Args:
        name: Lower-case letters, digits and `_`, beginning with a letter; the field's name in a request.
        type: `string`, `integer`, `number` or `boolean`.
        text: What it does, a sentence for people.
        default: Its value where a request does not give one; None leaves it out of the request.
        minimum: The least number.
        maximum: The greatest number.
        choices: The only values there are; empty for any of the type.

    Raises:
        ValueError: The declaration contradicts itself, or has the name of a field that every request has.
    """

    name: str
    type: ParameterType = "string"
    text: str = ""
    default: JSON = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[JSON, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a declaration that no request could meet, when the plugin makes it."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"parameter {self.name!r}: a name is lower-case letters, digits and _, a letter first")
        if self.name in RESERVED:
            raise ValueError(f"parameter '{self.name}' has the name of a field that every request has; take another")
        if self.type not in get_args(ParameterType):
            known = ", ".join(get_args(ParameterType))
            raise ValueError(f"parameter '{self.name}' is of the type {self.type!r}; there are: {known}")
        for value in (*self.choices, *(() if self.default is None else (self.default,))):
            if (issue := self.issue_with(value)) is not None:
                raise ValueError(f"parameter '{self.name}': {value!r} among its own values is wrong: {issue}")

    def issue_with(self, value: object) -> str | None:
        """What a value must be instead; None where it is right."""
        of_type = isinstance(value, _TYPES[self.type]) and isinstance(value, bool) == (self.type == "boolean")
        if self.choices:
            return None if of_type and value in self.choices else f"one of: {', '.join(map(str, self.choices))}"
        if not of_type:
            return f"a value of the type {self.type}"
        if isinstance(value, str):
            return None if len(value) <= _MOST_CHARACTERS else f"at most {_MOST_CHARACTERS} characters"
        return self._bounds_issue(float(value)) if isinstance(value, int | float) else None

    def schema(self) -> dict[str, Any]:
        """The parameter as a JSON Schema, as `GET /models` shows it."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum, "default": self.default}
        return {
            "type": self.type,
            "description": self.text,
            **{key: value for key, value in bounds.items() if value is not None},
            **({"enum": list(self.choices)} if self.choices else {}),
        }

    def _bounds_issue(self, value: float) -> str | None:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if math.isfinite(value) and low <= value <= high:
            return None
        if self.minimum is not None and self.maximum is not None:
            return f"{low:g} to {high:g}"
        return f"at least {low:g}" if self.minimum is not None else f"at most {high:g}"


def read_value(text: str) -> JSON:
    """A value as people write it in a command or a form: `0.5`, `true` and `"5"` as in JSON, else the text itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str | int | float) else text


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a model draws with where a request does not say. The values here are those of the API's contract.

    Args:
        steps: Denoising steps.
        guidance_scale: How closely to follow the prompt; 1 switches guidance off.
        width: Pixels.
        height: Pixels.
        sampler: The sampler by its common name; None leaves it to the generator.
    """

    steps: int = 20
    guidance_scale: float = 7.5
    width: int = 512
    height: int = 512
    sampler: str | None = None

    def fields(self) -> dict[str, Any]:
        """By the names that a request has for them."""
        found = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "width": self.width,
            "height": self.height,
        }
        return found if self.sampler is None else {**found, "sampler": self.sampler}

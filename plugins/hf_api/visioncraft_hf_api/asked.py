"""What clients send, as what a job is asked for.

`text_to_image` and `image_to_image` send to the same URL and say nowhere which of them they are: a prompt or an image
in base64 is `inputs`, and all else is in `parameters`. An image without any parameter is the body itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from visioncraft import InvalidRequest, whole_text
from visioncraft_diffusion.samplers import sampler_of

_MAX = 2**63 - 1
_MOST_WARNINGS = 16
_LONGEST_NAME = 64
_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
"""How files of images begin, those among them that are refused later: none of them is meant as a prompt."""

Whole = Annotated[int, Field(ge=-_MAX, le=_MAX)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]


class Size(BaseModel):
    """`target_size` of `image_to_image`."""

    width: Whole
    height: Whole


class LoRABody(BaseModel):
    """A LoRA to draw with, as `POST /generate` takes it."""

    name: Annotated[str, Field(strict=True, min_length=1, max_length=200)]
    weight: Number = 1.0


class Parameters(BaseModel):
    """`parameters`: Hugging Face's own, and by `extra_body` those of `POST /generate`. null is the model's default."""

    model_config = ConfigDict(extra="allow")

    prompt: Text | None = None
    negative_prompt: Text | None = None
    width: Whole | None = None
    height: Whole | None = None
    target_size: Size | None = None
    num_inference_steps: Whole | None = None
    guidance_scale: Number | None = None
    scheduler: Text | None = None
    sampler: Text | None = None
    seed: Whole | None = None
    strength: Number | None = None
    mask: Text | None = None
    loras: Annotated[list[LoRABody], Field(max_length=16)] | None = None
    clip_skip: Whole | None = None
    upscaler: Text | None = None
    upscale: Number | None = None


_RENAMED = frozenset({"prompt", "target_size", "scheduler"})


class _Body(BaseModel):
    """The JSON document."""

    inputs: Text
    parameters: Parameters | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a job takes it.

    Args:
        prompt: What to draw.
        fields: Further fields of `POST /generate`, only those that were sent.
        warnings: What of the request means nothing here, a sentence each.
    """

    prompt: str
    fields: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def read(content: bytes, media_type: str, own_parameters: Collection[str] = ()) -> Asked:
    """Read a request's body.

    Args:
        content: The body.
        media_type: Its Content-Type, which some clients leave out.
        own_parameters: Names of parameters that models declare, which are passed on.

    Returns:
        What it asks for.

    Raises:
        InvalidRequest: A field is wrong; it is named.
    """
    if media_type.startswith("image/") or content.startswith(_STARTS):
        raise _without_prompt()
    body = _checked(content)
    given = body.parameters or Parameters()
    fields = given.model_dump(exclude=set(_RENAMED | set(given.model_extra or {})), exclude_none=True)
    own = {name: value for name, value in (given.model_extra or {}).items() if name in own_parameters}
    if given.scheduler is not None and given.sampler is None:
        fields["sampler"] = sampler_of(given.scheduler) or given.scheduler
    prompt, start = _prompt_and_image(body.inputs, given)
    return Asked(prompt, {**fields, **start, **own}, _warnings(given, own_parameters))


def _checked(content: bytes) -> _Body:
    try:
        return _Body.model_validate(orjson.loads(content))
    except orjson.JSONDecodeError as error:
        raise InvalidRequest.of("body", f"not valid JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = whole_text(".".join(map(str, first["loc"])) or "body").removeprefix("parameters.")
        raise InvalidRequest.of(field[:_LONGEST_NAME], str(first["msg"])) from None


def _prompt_and_image(inputs: str, given: Parameters) -> tuple[str, dict[str, Any]]:
    """The prompt, and the fields for an image to start from. Raises `InvalidRequest` for an image without a prompt."""
    if given.prompt is None and given.target_size is None and not _is_image(inputs):
        return inputs, {}
    if not (given.prompt or "").strip():
        raise _without_prompt()
    size = given.target_size.model_dump() if given.target_size else {}
    return str(given.prompt), {**size, "init_image": inputs}


def _is_image(inputs: str) -> bool:
    """Whether a text is a data URL, or the base64 of an image's file."""
    if inputs[:11].lower() == "data:image/":
        return True
    try:
        return base64.b64decode(inputs[:16], validate=True).startswith(_STARTS)
    except (binascii.Error, ValueError):
        return False


def _without_prompt() -> InvalidRequest:
    return InvalidRequest.of("prompt", "an image came without one; say what to draw: image_to_image(image, prompt=…)")


def _warnings(given: Parameters, own_parameters: Collection[str]) -> tuple[str, ...]:
    strange = [
        whole_text(name)[:_LONGEST_NAME]
        for name, value in (given.model_extra or {}).items()
        if value is not None and name not in own_parameters
    ]
    return tuple(f"'{name}' is not a parameter here and changed nothing" for name in strange[:_MOST_WARNINGS])

"""The fields that clients send, and the types that they send them in."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

MOST_IMAGES = 16
"""The most images of one request, to draw and to start from."""


def _number(value: object) -> object:
    """Numbers as forms and careless clients send them: text is read, true is none."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _document(value: object) -> object:
    """A document inside a form is JSON in a field's text."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError("expected JSON") from error


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Whole = Annotated[int, BeforeValidator(_number)]
Real = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_number)]
Text = Annotated[str, Field(strict=True)]
Quality = Annotated[
    Literal["auto", "low", "medium", "standard", "high", "hd", "xhigh", "max"] | Text, BeforeValidator(_lower)
]


class Lora(BaseModel):
    """A LoRA to draw with."""

    name: Text
    weight: Real = 1.0


class ControlNet(BaseModel):
    """A ControlNet and what it follows."""

    name: Text
    image: Text
    scale: Real | None = None


class Hires(BaseModel):
    """A second, larger pass."""

    scale: Real | None = None
    strength: Real | None = None
    steps: Whole | None = None
    upscaler: Text | None = None


def _also(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Body(BaseModel):
    """What to draw. Null and the empty text count as absent; unknown fields are told of and ignored."""

    model_config = ConfigDict(extra="allow")

    prompt: Text | None = Field(None, description="What to draw; variations need none")
    model: Text | None = Field(None, max_length=400, description="A model's id; any other name means the default model")
    n: Whole | None = Field(None, ge=1, le=MOST_IMAGES, validation_alias=_also("n", "num_images"))
    size: Text | None = Field(
        None, max_length=64, description="`WIDTHxHEIGHT`, or `auto` for the model's own; the nearest that it can draw"
    )
    width: Whole | None = Field(None, ge=1, le=65536)
    height: Whole | None = Field(None, ge=1, le=65536)
    quality: Quality | None = Field(None, description="How many steps: `low` half of the model's own, `high` half more")
    steps: Whole | None = Field(None, ge=1, le=1000, validation_alias=_also("steps", "step", "num_inference_steps"))
    cfg_scale: Real | None = Field(None, validation_alias=_also("cfg_scale", "guidance_scale", "guidance", "cfg"))
    seed: Whole | None = Field(None, description="-1 for a random one")
    negative_prompt: Text | None = None
    sampler: Text | None = Field(None, max_length=64, validation_alias=_also("sampler", "sampler_name"))
    strength: Real | None = Field(None, validation_alias=_also("strength", "denoising_strength"))
    input_fidelity: Annotated[Literal["low", "high"], BeforeValidator(_lower)] | None = None
    background: Annotated[Literal["auto", "opaque", "transparent"], BeforeValidator(_lower)] | None = None
    output_format: Annotated[Literal["png", "webp", "jpeg", "jpg"], BeforeValidator(_lower)] | None = None
    output_compression: Whole | None = Field(None, ge=0, le=100)
    response_format: Annotated[Literal["url", "b64_json"], BeforeValidator(_lower)] | None = None
    stream: bool | None = None
    partial_images: Whole | None = Field(None, ge=0, le=3)
    loras: Annotated[list[Lora], BeforeValidator(_document)] | None = None
    controlnet: Annotated[ControlNet, BeforeValidator(_document)] | None = None
    clip_skip: Whole | None = None
    hires: Annotated[Hires, BeforeValidator(_document)] | None = None
    upscaler: Text | None = None
    upscale: Real | None = None
    leonardo_model: Text | None = None
    aspect_ratio: Text | None = None
    preset_style: Text | None = None


PLAIN = {
    "n": "num_images",
    "seed": "seed",
    "negative_prompt": "negative_prompt",
    "steps": "num_inference_steps",
    "cfg_scale": "guidance_scale",
    "sampler": "sampler",
    "strength": "strength",
    "loras": "loras",
    "controlnet": "controlnet",
    "clip_skip": "clip_skip",
    "hires": "hires",
    "upscaler": "upscaler",
    "upscale": "upscale",
    "leonardo_model": "leonardo_model",
    "aspect_ratio": "aspect_ratio",
    "preset_style": "preset_style",
    "width": "width",
    "height": "height",
}
"""Fields that only have another name in `service.submit`, or not even that."""

UNHEARD = frozenset({"user", "safety_identifier", "moderation", "style", "image", "images", "mask"})
"""Fields of the protocol that say nothing about the image, or are read elsewhere: no warning tells of them."""


def name_sent(field: str, sent: frozenset[str]) -> str:
    """What a client calls a field that `service.submit` found wrong.

    Args:
        field: Its name there, dotted where it nests.
        sent: The names that the client used.

    Returns:
        The name that the client used for it, or would have.
    """
    first, dot, rest = field.partition(".")
    if first in sent:
        return field
    if first in ("width", "height", "aspect_ratio") and "size" in sent:
        return "size"
    if first == "num_inference_steps" and "quality" in sent and not sent & {"steps", "step"}:
        return "quality"
    if first == "init_image":
        return "image"
    own = next((name for name, meant in PLAIN.items() if meant == first), first)
    aliases = Body.model_fields[own].validation_alias if own in Body.model_fields else None
    names = aliases.choices if isinstance(aliases, AliasChoices) else [own]
    used = next((str(name) for name in names if str(name) in sent), own)
    return used + dot + rest


def shown(text: str, longest: int = 64) -> str:
    """What a client wrote, as a sentence may repeat it."""
    return "".join(each if each.isprintable() else "?" for each in text[:longest])

"""From the options of `visioncraft generate` to the fields of `POST /generate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visioncraft.errors import InvalidRequest
from visioncraft.types.parameters import RESERVED, read_value

_AS_THEY_ARE = (
    *("negative_prompt", "guidance_scale", "width", "height", "seed", "sampler", "strength", "clip_skip"),
    *("upscaler", "upscale", "num_images", "leonardo_model", "aspect_ratio", "preset_style", "quality"),
)


def fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `plan_request` takes beside prompt and model. Raises `InvalidRequest` for an option that means nothing."""
    own = dict(map(parameter, options["parameter"] or ()))
    return {name: options[name] for name in _AS_THEY_ARE} | {
        "num_inference_steps": options["steps"],
        "init_image": file(options["init_image"]),
        "mask": file(options["mask"]),
        "loras": [lora(each) for each in options["lora"] or ()],
        "controlnet": controlnet(options["controlnet"], options["control_image"], options["control_scale"]),
        "hires": None if options["hires"] is None else {"scale": options["hires"]},
        **own,
    }


def parameter(text: str) -> tuple[str, Any]:
    """`name=value`, the value as `read_value` understands it.

    Raises:
        InvalidRequest: It is no such pair, or names a field that has an option of its own.
    """
    name, equals, value = text.partition("=")
    if not equals or name in RESERVED:
        issue = "write NAME=VALUE, a parameter that the model declares; other fields have options of their own"
        raise InvalidRequest("Invalid --set", field="set", issue=issue)
    return name, read_value(value)


def file(path: Path | None) -> bytes | None:
    """A picture's bytes. Raises `InvalidRequest` where the file cannot be read."""
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read", field="file", issue=str(error.strerror)) from error


def lora(text: str) -> dict[str, Any]:
    """`ink` or `ink:0.8`. Raises `InvalidRequest` for a weight that is no number."""
    name, colon, weight = text.rpartition(":")
    if not colon:
        return {"name": text, "weight": 1.0}
    try:
        return {"name": name, "weight": float(weight)}
    except ValueError:
        raise InvalidRequest("Invalid --lora", field="lora", issue="write NAME or NAME:WEIGHT, as ink:0.8") from None


def controlnet(name: str | None, image: Path | None, scale: float | None) -> dict[str, Any] | None:
    """A ControlNet and its condition, which go together. Raises `InvalidRequest` for half of it."""
    if name is None and image is None and scale is None:
        return None
    if name is None or image is None:
        issue = "--controlnet and --control-image go together"
        raise InvalidRequest("Invalid --controlnet", field="controlnet", issue=issue)
    return {"name": name, "image": file(image), "scale": scale}

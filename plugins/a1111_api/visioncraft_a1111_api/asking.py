"""From a body of txt2img or img2img to the fields of one job, and to what cannot be done as asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visioncraft import InvalidRequest, ModelInfo

from visioncraft_a1111_api import control, editing, hires, samplers, sizes
from visioncraft_a1111_api.bodies import Body
from visioncraft_a1111_api.errors import ScriptNotFound

MAX_IMAGES = 16
_WITHOUT_EFFECT = {
    "restore_faces": "faces are not restored",
    "tiling": "images do not tile",
    "subseed_strength": "there are no variation seeds",
    "seed_resize_from_w": "there is no seed_resize_from_w",
    "seed_resize_from_h": "there is no seed_resize_from_h",
    "refiner_checkpoint": "there is no refiner",
    "styles": "there are no saved styles",
    "s_churn": "samplers have no s_churn",
    "firstphase_width": "a first pass has the size of width",
    "firstphase_height": "a first pass has the size of height",
}
"""Fields that mean nothing here, and what is told of one that is switched on."""
_NO_VAE = ("", "automatic", "none")


@dataclass(slots=True)
class Asked:
    """What a client asks for, as `service.submit` takes it.

    Args:
        model: Draws.
        prompt: What to draw.
        fields: Further fields.
        told: What is not done, or not as asked, a sentence each.
    """

    model: ModelInfo
    prompt: str
    fields: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


def text_to_image(body: Body, model: ModelInfo, options: Mapping[str, Any]) -> Asked:
    """Reads a body of `POST /txt2img`.

    Args:
        body: The body.
        model: The model that it means.
        options: What is selected, with what the request overrides.

    Raises:
        InvalidRequest: A field is no number or text where it has to be.
        NotFound: There is no such sampler or script.
    """
    asked = _common(body, model, options)
    if body.flag("enable_hr"):
        asked.fields |= hires.fields(body, asked.fields, asked.told)
    return _followed(asked, body, "")


def image_to_image(body: Body, model: ModelInfo, options: Mapping[str, Any]) -> Asked:
    """Reads a body of `POST /img2img`; as `text_to_image`."""
    asked = _common(body, model, options)
    start = editing.start_of(body, asked.told)
    steps = asked.fields.get("num_inference_steps", model.defaults.steps)
    asked.fields |= editing.fields(body, start, steps, asked.told)
    return _followed(asked, body, start)


def _followed(asked: Asked, body: Body, start: str) -> Asked:
    """With what always-on scripts add, of which ControlNet is here."""
    asked.fields |= control.fields(body, start, asked.told)
    return asked


def _common(body: Body, model: ModelInfo, options: Mapping[str, Any]) -> Asked:
    if (script := body.text("script_name").strip()) and script.lower() != "none":
        raise ScriptNotFound(script)
    told = [what for name, what in _WITHOUT_EFFECT.items() if _is_on(body.values.get(name))]
    vae = body.part("override_settings").text("sd_vae")
    if vae.strip().lower() not in _NO_VAE:
        told.append(f"a model draws with its own VAE or the one that settings give it, not with '{vae[:60]}'")
    fields: dict[str, Any] = {"seed": _seed(body), "num_images": _count(body), **sizes.sides(body, model, told)}
    fields |= _within_limits(body, model, told)
    if negative := body.text("negative_prompt"):
        fields["negative_prompt"] = negative
    if sampler := _sampler(body, model, told):
        fields["sampler"] = sampler
    fields |= _clip_skip(body, model, options, told)
    return Asked(model, body.text("prompt"), fields, told)


def _is_on(value: object) -> bool:
    """Whether a field asks for something: clients send most of them, switched off."""
    return bool(value) and value not in ("None", "none")


def _seed(body: Body) -> int:
    seed = body.whole("seed")
    return -1 if seed is None or seed < 0 else seed


def _count(body: Body) -> int:
    """How many images: so many batches of so many."""
    size, batches = body.whole("batch_size"), body.whole("n_iter")
    count = (1 if size is None else size) * (1 if batches is None else batches)
    if not 1 <= count <= MAX_IMAGES:
        raise InvalidRequest.of("n_iter", f"batch_size times n_iter is 1 to {MAX_IMAGES}")
    return count


def _sampler(body: Body, model: ModelInfo, told: list[str]) -> str | None:
    name = body.text("sampler_name") or body.text("sampler_index")
    return samplers.sampler_of(model, name, body.text("scheduler"), told)


def _within_limits(body: Body, model: ModelInfo, told: list[str]) -> dict[str, Any]:
    """Steps and guidance: the nearest that the model takes, its own defaults among them."""
    asked: Sequence[tuple[str, str, float | None, tuple[float, float]]] = (
        ("steps", "num_inference_steps", body.whole("steps"), model.limits.steps),
        ("cfg_scale", "guidance_scale", body.number("cfg_scale"), model.limits.guidance_scale),
    )
    found: dict[str, Any] = {}
    for name, field_name, value, (low, high) in asked:
        usual = model.defaults.fields()[field_name] if value is None else value
        found[field_name] = min(max(usual, low), high)
        if value is not None and found[field_name] != value:
            told.append(f"{model.id} takes {name} of {low:g} to {high:g}: {found[field_name]:g}, not {value:g}")
    return found


def _clip_skip(body: Body, model: ModelInfo, options: Mapping[str, Any], told: list[str]) -> dict[str, int]:
    own = body.whole("clip_skip")
    layer = options["CLIP_stop_at_last_layers"] if own is None else min(max(own, 1), 12)
    if layer == 1:
        return {}
    if "clip_skip" not in model.abilities:
        told.append(f"{model.id} has no clip_skip")
        return {}
    return {"clip_skip": layer}

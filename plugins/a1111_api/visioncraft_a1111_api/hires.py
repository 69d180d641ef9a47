"""`enable_hr`: the second, larger pass of txt2img."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncraft import LANCZOS

from visioncraft_a1111_api.bodies import Body
from visioncraft_a1111_api.models import bare_name

LATENT_MODES = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)
PLAIN_UPSCALERS = ("none", "lanczos", "nearest")
_FILES: Mapping[str, str] = {
    "R-ESRGAN 4x+": "RealESRGAN_x4plus",
    "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B",
    "R-ESRGAN General 4xV3": "realesr-general-x4v3",
    "SwinIR 4x": "SwinIR_4x",
}
"""Upscalers that AUTOMATIC1111 calls otherwise than their makers call the file."""
_LEFT_OUT = ("hr_prompt", "hr_negative_prompt", "hr_sampler_name", "hr_scheduler", "hr_checkpoint_name")
_BASE_OF = {"hr_prompt": "prompt", "hr_negative_prompt": "negative_prompt"}


def fields(body: Body, drawn: Mapping[str, Any], told: list[str]) -> dict[str, Any]:
    """Reads the second pass.

    Args:
        body: The request.
        drawn: The fields of the first pass.
        told: Hears of what is not done as asked.

    Returns:
        The field `hires`; `upscaler` and `upscale` where the image is enlarged and not drawn over.
    """
    _tell_of_others(body, told)
    scale, strength = _scale(body, drawn, told), body.number("denoising_strength")
    upscaler = _between_passes(body, told)
    steps = body.whole("hr_second_pass_steps") or None
    if strength is not None and strength <= 0:
        return {"upscaler": upscaler or LANCZOS, "upscale": scale}
    second = {"scale": scale, "strength": strength, "steps": steps, "upscaler": upscaler}
    return {"hires": {name: value for name, value in second.items() if value is not None}}


def upscaler_named(name: str, told: list[str]) -> str:
    """Returns an upscaler by the name of its file; Lanczos' filter where it is none or a plain filter."""
    plain = name.strip().lower()
    if plain == "nearest":
        told.append("images are enlarged by Lanczos' filter, not by the nearest pixel")
    return LANCZOS if plain in ("", *PLAIN_UPSCALERS) else _FILES.get(name.strip(), bare_name(name))


def _between_passes(body: Body, told: list[str]) -> str | None:
    """What enlarges between the passes; None for the latents."""
    name = body.text("hr_upscaler", LATENT_MODES[0])
    if not name.startswith("Latent"):
        return upscaler_named(name, told)
    if name != LATENT_MODES[0]:
        told.append(f"latents are enlarged as by '{LATENT_MODES[0]}', not by '{name[:60]}'")
    return None


def _scale(body: Body, drawn: Mapping[str, Any], told: list[str]) -> float:
    """By how much sides grow; AUTOMATIC1111 takes the larger size by its pixels too."""
    wanted = {side: body.whole(name) or 0 for side, name in (("width", "hr_resize_x"), ("height", "hr_resize_y"))}
    factors: list[float] = [wanted[side] / drawn[side] for side in wanted if wanted[side] > 0 and side in drawn]
    if not factors:
        return body.number("hr_scale") or 2.0
    if max(factors) - min(factors) > 0.01:
        told.append("the second pass keeps the proportions of the first; nothing is cut off")
    return max(factors)


def _tell_of_others(body: Body, told: list[str]) -> None:
    for name in _LEFT_OUT:
        value = body.text(name)
        same = not value or value.startswith("Use same") or value == body.text(_BASE_OF.get(name, ""))
        if not same:
            told.append(f"the second pass has no {name} of its own")

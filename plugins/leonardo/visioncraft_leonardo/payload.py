"""The body of `POST /generations`, built here and nowhere else, within Leonardo.ai's limits before it is asked.

Rules as in its OpenAPI description and its guides (`styleUUID` stands in the guides alone).
"""

from __future__ import annotations

from typing import Any

from visioncraft import GenerationRequest, InvalidRequest

from visioncraft_leonardo.catalogue import STYLES, CloudModel

MAX_PROMPT = 1500
CONTRAST = 3.5
"""Medium. Phoenix wants 3, 3.5 or 4, and alchemy at least 2.5."""

_LEAST_KEPT, _MOST_KEPT = 0.1, 0.9
_SIDES = (32, 1536)


def build_payload(request: GenerationRequest, model: CloudModel) -> dict[str, Any]:
    """The body that orders one picture.

    Args:
        request: What to draw; `width` and `height` in pixels.
        model: Draws it.

    Raises `InvalidRequest` for what Leonardo.ai would refuse.
    """
    alchemy = request.quality == "high" and model.family != "lucid"
    prompt, style = _styled(request, model, alchemy)
    payload: dict[str, Any] = {
        "prompt": prompt,
        "modelId": model.id,
        "width": request.width,
        "height": request.height,
        "num_images": 1,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "alchemy": alchemy,
        "public": False,
        **style,
    }
    if request.init_image is not None:  # how much of it stays, where we say how much is drawn anew
        payload["init_strength"] = round(min(max(1 - request.strength, _LEAST_KEPT), _MOST_KEPT), 2)
    if request.quality == "ultra":
        payload["ultra"] = True
    if request.negative_prompt.strip():
        payload["negative_prompt"] = request.negative_prompt
    if model.family != "other":
        payload["contrast"] = CONTRAST
    _check(payload, model)
    return payload


def _styled(request: GenerationRequest, model: CloudModel, alchemy: bool) -> tuple[str, dict[str, str]]:
    """The prompt, and the field that carries the style; without such a field the prompt says it."""
    style = STYLES.get(request.preset_style)
    if style is None:
        raise InvalidRequest.of("preset_style", f"one of: {', '.join(STYLES)}")
    if model.family != "other" and style.uuid:
        return request.prompt, {"styleUUID": style.uuid}
    if model.family == "other" and style.preset and alchemy:  # without alchemy only LEONARDO and NONE are taken
        return request.prompt, {"presetStyle": style.preset}
    return f"{request.prompt.rstrip()}, {style.words} style", {}


def _check(payload: dict[str, Any], model: CloudModel) -> None:
    if len(payload["prompt"]) > MAX_PROMPT:
        raise InvalidRequest.of(
            "prompt", f"at most {MAX_PROMPT} characters with the style's words, not {len(payload['prompt'])}"
        )
    if not 0 <= payload["seed"] <= model.max_seed:
        raise InvalidRequest.of("seed", f"-1 for a random seed, or 0 to {model.max_seed} for {model.name}")
    for field in ("width", "height"):
        if payload[field] % 8 or not _SIDES[0] <= payload[field] <= _SIDES[1]:
            raise InvalidRequest.of(field, f"{_SIDES[0]} to {_SIDES[1]} in multiples of 8")

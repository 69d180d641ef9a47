"""What bodies hold, for `/openapi.json`: the fields that mean something, none of which has to be there."""

from __future__ import annotations

from typing import Any

_TEXT, _NUMBER, _WHOLE, _FLAG = ({"type": [kind, "null"]} for kind in ("string", "number", "integer", "boolean"))
_COMMON: dict[str, Any] = {
    **dict.fromkeys(("prompt", "negative_prompt", "sampler_name", "sampler_index", "scheduler", "script_name"), _TEXT),
    **dict.fromkeys(("seed", "steps", "width", "height", "batch_size", "n_iter", "clip_skip"), _NUMBER),
    **dict.fromkeys(("cfg_scale", "denoising_strength"), _NUMBER),
    **dict.fromkeys(("send_images", "override_settings_restore_afterwards"), _FLAG),
    "override_settings": {"type": ["object", "null"]},
    "alwayson_scripts": {"type": ["object", "null"]},
}
TEXT_TO_IMAGE: dict[str, Any] = {
    **_COMMON,
    "enable_hr": _FLAG,
    "hr_upscaler": _TEXT,
    **dict.fromkeys(("hr_scale", "hr_second_pass_steps", "hr_resize_x", "hr_resize_y"), _NUMBER),
}
IMAGE_TO_IMAGE: dict[str, Any] = {
    **_COMMON,
    "init_images": {"type": ["array", "null"], "items": {"type": "string"}},
    "mask": _TEXT,
    "inpaint_full_res": _FLAG,
    **dict.fromkeys(("resize_mode", "mask_blur", "inpainting_fill", "inpainting_mask_invert"), _NUMBER),
}
EXTRAS: dict[str, Any] = {
    "image": _TEXT,
    "imageList": {"type": ["array", "null"], "items": {"type": "object"}},
    "upscaler_1": _TEXT,
    "upscaling_crop": _FLAG,
    **dict.fromkeys(("resize_mode", "upscaling_resize", "upscaling_resize_w", "upscaling_resize_h"), _NUMBER),
}
AN_IMAGE: dict[str, Any] = {"image": _TEXT}
OPTIONS: dict[str, Any] = {"sd_model_checkpoint": _TEXT, "samples_format": _TEXT, "CLIP_stop_at_last_layers": _NUMBER}


def body(properties: dict[str, Any]) -> dict[str, Any]:
    """Returns what a route adds to its description: a JSON object with these fields, and any others."""
    schema = {"type": "object", "properties": properties, "additionalProperties": True}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": True}}

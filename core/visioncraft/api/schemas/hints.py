"""What other programs call the fields of `POST /generate`: people come with habits and with code made for those."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from visioncraft.printing import visible

_STEPS, _SIZE = "num_inference_steps is", "width and height are"
_GUIDANCE, _COUNT = "guidance_scale is", "num_images is"
_SAMPLER, _START = "sampler is", "init_image is"
_STRENGTH, _MASK, _MODEL = "strength is", "mask is", "model is"
_END = "GET /jobs/{id}/events and WS /ws tell of a job's end"
_FORM = "POST /generate answers a picture itself to Accept: image/png, image/webp or image/jpeg"

FOREIGN: Mapping[str, str] = {
    **dict.fromkeys(("steps", "num_steps", "sampling_steps", "ddim_steps", "inference_steps"), _STEPS),
    **dict.fromkeys(("size", "image_size", "resolution", "dimensions"), _SIZE),
    **dict.fromkeys(("cfg", "cfg_scale", "guidance", "scale", "prompt_guidance"), _GUIDANCE),
    **dict.fromkeys(("n", "count", "batch_size", "batch_count", "n_iter", "num_images_per_prompt"), _COUNT),
    **dict.fromkeys(("num_outputs", "num_samples", "samples", "number_of_images"), _COUNT),
    **dict.fromkeys(("sampler_name", "sampler_index", "sampling_method", "scheduler", "scheduler_type"), _SAMPLER),
    **dict.fromkeys(("image", "image_url", "init_images", "input_image", "source_image", "image_base64"), _START),
    **dict.fromkeys(("denoising_strength", "denoise", "prompt_strength", "image_strength"), _STRENGTH),
    **dict.fromkeys(("mask_image", "mask_url", "mask_source", "inpaint_mask"), _MASK),
    **dict.fromkeys(("model_id", "model_name", "checkpoint", "sd_model_checkpoint", "engine", "engine_id"), _MODEL),
    **dict.fromkeys(("text", "text_prompts", "prompts", "description"), "prompt is"),
    **dict.fromkeys(("negative", "negative_prompts", "uc"), "negative_prompt is"),
    **dict.fromkeys(("random_seed", "noise_seed", "manual_seed"), "seed is"),
    **dict.fromkeys(("lora", "lora_weights"), "loras is, a list of {name, weight}"),
    **dict.fromkeys(("control_image", "controlnet_image", "control_net"), "controlnet is, as {name, image, scale}"),
    **dict.fromkeys(("enable_hr", "hr_scale", "hires_fix", "highres_fix"), "hires is, as {scale, strength, steps}"),
    **dict.fromkeys(("clip_stop_at_last_layers", "clip_layer"), "clip_skip is"),
    **dict.fromkeys(("style", "style_preset", "styles"), "preset_style is, for Leonardo.ai"),
    **dict.fromkeys(("webhook", "webhook_url", "callback", "callback_url", "notify_url"), _END),
    **dict.fromkeys(("response_format", "output_format", "format"), _FORM),
}
"""By the foreign name in snake case: what is meant here, as the end of "'steps' is not a field here; …"."""

OF_A_GALLERY: Mapping[str, str] = {
    **dict.fromkeys(("search", "query", "text", "prompt"), "q is"),
    **dict.fromkeys(("from", "after", "start"), "since is"),
    **dict.fromkeys(("to", "before", "end"), "until is"),
    **dict.fromkeys(("page", "skip", "start_index"), "offset is, and cursor"),
    **dict.fromkeys(("per_page", "page_size", "count", "n"), "limit is"),
    **dict.fromkeys(("order", "order_by", "sort_by"), "sort is"),
    **dict.fromkeys(("starred", "star"), "favourite is"),
    **dict.fromkeys(("stars", "rating"), "min_rating is"),
}
"""The same for what `GET /gallery` is asked."""

OF_JOBS: Mapping[str, str] = {"state": "status is", **dict.fromkeys(("n", "count", "per_page"), "limit is")}
"""The same for `GET /jobs`."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST_NAME = 64


def warning(place: str, name: str, known: Collection[str], foreign: Mapping[str, str]) -> str:
    """The sentence about a field that is none.

    Args:
        place: Where it stands, with a dot at its end; empty for the document itself.
        name: As the client wrote it.
        known: The fields that there are.
        foreign: What other programs' names mean here.
    """
    snake = _HUMP.sub("_", name[:_LONGEST_NAME]).replace("-", "_").lower()
    said = f"'{visible(place + name[:_LONGEST_NAME])}' is not a field here"
    if (meant := foreign.get(snake)) is not None:
        return f"{said}; {meant}"
    if near := get_close_matches(snake, known, 1, 0.75):
        return f"{said}; did you mean {place}{near[0]}?"
    return f"{said} and was ignored"

"""What txt2img and img2img answer: bare base64, the request again, and `info`, which is JSON inside a string."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, BinaryIO

from fastapi import Response
from visioncraft import (
    ImageRecord,
    JobView,
    NotFound,
    Service,
    StorageError,
    __version__,
    a1111_parameters,
    converted,
    spliced,
)

from visioncraft_a1111_api.bodies import Body
from visioncraft_a1111_api.options import FORMATS
from visioncraft_a1111_api.samplers import spelled

_ECHOED = frozenset(
    {
        *("prompt", "negative_prompt", "styles", "seed", "subseed", "subseed_strength", "seed_resize_from_h"),
        *("seed_resize_from_w", "sampler_name", "sampler_index", "scheduler", "batch_size", "n_iter", "steps"),
        *("cfg_scale", "width", "height", "restore_faces", "tiling", "denoising_strength", "s_churn", "s_tmax"),
        *("s_tmin", "s_noise", "eta", "override_settings", "override_settings_restore_afterwards"),
        *("refiner_checkpoint", "refiner_switch_at", "enable_hr", "firstphase_width", "firstphase_height"),
        *("hr_scale", "hr_upscaler", "hr_second_pass_steps", "hr_resize_x", "hr_resize_y", "hr_checkpoint_name"),
        *("hr_sampler_name", "hr_scheduler", "hr_prompt", "hr_negative_prompt", "script_name", "send_images"),
        *("save_images", "do_not_save_samples", "do_not_save_grid", "resize_mode", "image_cfg_scale", "mask_blur"),
        *("mask_blur_x", "mask_blur_y", "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding"),
        *("inpainting_mask_invert", "initial_noise_multiplier", "include_init_images", "clip_skip"),
    }
)
"""Fields of the protocol that are answered again: no image, and nothing that a client adds, such as its password."""


async def drawn(service: Service, job: JobView, body: Body, options: Mapping[str, Any]) -> Response:
    """Makes the answer of a job's images.

    Args:
        service: Has them.
        job: The job, at its end.
        body: What was asked for.
        options: Say in which format images are sent.
    """
    sent = await _sent(service, job, options) if body.flag("send_images", default=True) else []
    echo = {name: value for name, value in body.values.items() if name in _ECHOED}
    rest = f'],"parameters":{json.dumps(echo)},"info":{json.dumps(json.dumps(information(job, body)))}}}'
    parts: list[bytes | BinaryIO] = [b'{"images":[']
    for number, image in enumerate(sent):
        parts += [b',"' if number else b'"', BytesIO(image), b'"']
    return spliced([*parts, rest.encode()], {"X-Job-Id": job.id})


async def _sent(service: Service, job: JobView, options: Mapping[str, Any]) -> list[bytes]:
    """The images that are there, in the selected format."""
    found = []
    for number, record in enumerate(job.images):
        try:
            png = await service.image(job.id, number)
        except NotFound:  # deleted since
            continue
        found.append(await asyncio.to_thread(in_format, png, record, options))
    return found


def in_format(png: bytes, record: ImageRecord, options: Mapping[str, Any]) -> bytes:
    """Returns an image in the selected format, where that can hold it."""
    kind = FORMATS[options["samples_format"]]
    if kind == "png":
        return png
    try:
        return converted(png, kind, record, options["jpeg_quality"] if kind == "jpeg" else None)
    except StorageError:
        return png


def information(job: JobView, body: Body) -> dict[str, Any]:
    """Returns `info`: the facts of all images, and in `warnings` what was not done as asked."""
    parameters, images = job.parameters, job.images
    seeds = [each.seed for each in images] or [job.seed]
    negative = str(parameters.get("negative_prompt", ""))
    prompt, count = str(parameters.get("prompt", "")), len(seeds)
    sampler, _ = spelled(_sampler(parameters, images))
    first = images[0] if images else None
    return {
        "prompt": prompt,
        "all_prompts": [prompt] * count,
        "negative_prompt": negative,
        "all_negative_prompts": [negative] * count,
        "seed": seeds[0],
        "all_seeds": seeds,
        "subseed": -1,
        "all_subseeds": [-1] * count,
        "subseed_strength": 0,
        "width": first.width if first else parameters.get("width"),
        "height": first.height if first else parameters.get("height"),
        "sampler_name": sampler,
        "cfg_scale": parameters.get("guidance_scale"),
        "steps": parameters.get("num_inference_steps"),
        "batch_size": body.whole("batch_size") or 1,
        "denoising_strength": parameters.get("strength", parameters.get("hires", {}).get("strength")),
        "clip_skip": parameters.get("clip_skip", 1),
        "infotexts": [a1111_parameters(each) for each in images],
        "job_timestamp": job.created_at.strftime("%Y%m%d%H%M%S"),
        "sd_model_name": job.model,
        "warnings": list(job.warnings),
        "version": f"VisionCraft {__version__}",
        **_ABSENT,
    }


_ABSENT: Mapping[str, Any] = {
    "restore_faces": False,
    "face_restoration_model": None,
    "sd_model_hash": "",
    "sd_vae_name": None,
    "sd_vae_hash": None,
    "seed_resize_from_w": -1,
    "seed_resize_from_h": -1,
    "extra_generation_params": {},
    "index_of_first_image": 0,
    "styles": [],
    "is_using_inpainting_conditioning": False,
}
"""What clients look for, and nothing here has."""


def _sampler(parameters: Mapping[str, Any], images: Sequence[ImageRecord]) -> str:
    drawn_with = images[0].facts.get("sampler") if images else None
    return str(parameters.get("sampler") or drawn_with or "")

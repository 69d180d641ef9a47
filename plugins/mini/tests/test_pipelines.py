"""What works on Stable Diffusion 1.5 works on the shipped weights: diffusers' own pipelines, samplers and LoRAs."""

import functools
import os
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import peft
import pytest
import torch
from diffusers.utils import convert_state_dict_to_diffusers
from PIL import Image
from visioncraft_mini.evaluate.measures import right_hue
from visioncraft_mini.plugin import WEIGHTS

RED, GREEN = 352, 90
SIDE = 512 if os.environ.get("VISIONCRAFT_SOAK") else 256
SAMPLERS = (
    "DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler", "UniPCMultistepScheduler",
)  # fmt: skip


@functools.cache
def parts() -> dict[str, Any]:
    components: dict[str, Any] = diffusers.StableDiffusionPipeline.from_pretrained(
        WEIGHTS, dtype=torch.float32
    ).components
    return components


def pipeline(kind: str, **changed: Any) -> Any:
    pipe = getattr(diffusers, kind)(**{**parts(), **changed}, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: Any, prompt: str, steps: int = 8, **more: Any) -> Image.Image:
    generator = torch.Generator("cpu").manual_seed(0)
    size = {} if "image" in more else {"width": SIDE, "height": SIDE}
    picture: Image.Image = pipe(prompt, num_inference_steps=steps, generator=generator, **size, **more).images[0]
    return picture


@functools.cache
def red_apple() -> Image.Image:
    return draw(pipeline("StableDiffusionPipeline"), "red apple")


def pixels(picture: Image.Image) -> Any:
    return np.asarray(picture).astype(float)


def test_image_to_image_turns_the_red_apple_green() -> None:
    assert right_hue(red_apple(), RED)
    turned = draw(pipeline("StableDiffusionImg2ImgPipeline"), "green apple", image=red_apple(), strength=0.8)
    assert turned.size == (SIDE, SIDE)
    assert right_hue(turned, GREEN)


def test_inpainting_redraws_what_the_mask_shows_and_keeps_the_rest() -> None:
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.paste(255, (SIDE // 2, 0, SIDE, SIDE))
    pipe = pipeline("StableDiffusionInpaintPipeline")
    painted = draw(pipe, "green apple", image=red_apple(), mask_image=mask, strength=1.0, width=SIDE, height=SIDE)
    assert right_hue(painted.crop((0, 0, SIDE * 7 // 16, SIDE)), RED)
    assert right_hue(painted.crop((SIDE * 9 // 16, 0, SIDE, SIDE)), GREEN)


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_common_sampler_draws_a_green_apple_on_white_paper(name: str) -> None:
    scheduler = getattr(diffusers, name).from_config(parts()["scheduler"].config)
    picture = draw(pipeline("StableDiffusionPipeline", scheduler=scheduler), "green apple", 10)
    assert right_hue(picture, GREEN)
    assert pixels(picture)[:24, :24].mean() > 200


def test_a_lora_changes_the_picture_and_unloading_it_brings_the_old_one_back(tmp_path: Path) -> None:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    before = draw(pipe, "a cat", 4)
    diffusers.StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=random_lora())
    pipe.load_lora_weights(tmp_path)
    assert np.abs(pixels(draw(pipe, "a cat", 4)) - pixels(before)).mean() > 2
    pipe.unload_lora_weights()
    assert np.array_equal(pixels(draw(pipe, "a cat", 4)), pixels(before))


def random_lora() -> dict[str, torch.Tensor]:
    """A LoRA for the attention of the UNet, as a training by peft leaves it, but with random weights."""
    unet = diffusers.UNet2DConditionModel.from_pretrained(WEIGHTS, subfolder="unet", dtype=torch.float32)
    unet.add_adapter(peft.LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers: dict[str, torch.Tensor] = convert_state_dict_to_diffusers(peft.get_peft_model_state_dict(unet))
    return layers

import colorsys
import functools
import os
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from visioncraft_mini.plugin import WEIGHTS

Picture = Any
SIDE, STEPS = (512, 20) if os.environ.get("VISIONCRAFT_SOAK") else (256, 8)


@functools.cache
def pipeline() -> Any:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@functools.cache
def draw(prompt: str, seed: int = 0, width: int = SIDE, height: int = SIDE, steps: int = STEPS) -> Picture:
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = pipeline()(prompt, num_inference_steps=steps, width=width, height=height, generator=generator)
    return np.asarray(drawn.images[0])


def mean_hue(picture: Picture) -> float:
    """Hue in degrees of the mean colour of the pixels that are coloured."""
    pixels = picture.reshape(-1, 3) / 255
    coloured = pixels[(pixels.max(1) - pixels.min(1)) > 0.25]
    assert len(coloured) > 0.05 * len(pixels), "nothing but paper"
    return 360 * colorsys.rgb_to_hsv(*coloured.mean(0))[0]


def is_near(hue: float, wanted: float, within: float = 40) -> bool:
    return abs((hue - wanted + 180) % 360 - 180) < within


def test_the_folder_loads_as_a_stable_diffusion_pipeline() -> None:
    pipe = pipeline()
    assert type(pipe).__name__ == "StableDiffusionPipeline"
    assert pipe.vae_scale_factor == 16
    assert pipe.unet.config.sample_size * pipe.vae_scale_factor == 512
    assert pipe.safety_checker is None


@pytest.mark.parametrize(("width", "height"), [(512, 512), (256, 256), (768, 512)])
def test_it_draws_at_the_size_that_was_asked_for(width: int, height: int) -> None:
    picture = draw("a cat", width=width, height=height, steps=4)
    assert picture.shape == (height, width, 3)
    assert picture.std() > 10


def test_the_same_seed_draws_the_same_picture_and_another_seed_another() -> None:
    first = draw("red apple")
    again = draw.__wrapped__("red apple")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, draw("red apple", seed=1))


@pytest.mark.parametrize(
    ("prompt", "hue"),
    [("red apple", 355), ("green apple", 95), ("blue heart", 218), ("green circle", 140), ("red circle", 350)],
)
def test_the_colour_in_the_prompt_is_the_colour_of_the_picture(prompt: str, hue: float) -> None:
    assert is_near(mean_hue(draw(prompt)), hue)

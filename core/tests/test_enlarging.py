"""An image that a client sent is enlarged without drawing: `init_image` with `strength` 0 and an `upscaler`."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import numpy as np
import pytest
from visioncraft import Decoders, InvalidRequest, encode_png
from visioncraft.jobs.requests import build_request, plan_request
from visioncraft.types.models import Ability, Limits, ModelInfo

LIMITS = Limits(steps=(15, 50), size_multiple=64, min_resolution=(256, 256), max_resolution=(512, 512))
ABLE = ModelInfo(id="able", name="Able", engine="e", limits=LIMITS, abilities=frozenset(get_args(Ability)))
SMALL = encode_png(np.zeros((30, 50, 3), np.uint8))
ENLARGED: dict[str, Any] = {"init_image": SMALL, "strength": 0, "upscaler": "lanczos"}


def test_an_image_keeps_its_own_size_whatever_the_model_draws() -> None:
    request = build_request(ABLE, "", **ENLARGED, upscale=3)
    assert request.only_enlarges
    assert (request.width, request.height, request.enlarged_size) == (50, 30, (150, 90))
    assert request.steps_drawn == 1


def test_a_size_that_is_given_is_the_one_before_it_is_enlarged() -> None:
    request = build_request(ABLE, "", **ENLARGED, width=40, height=20)
    assert (request.width, request.height, request.enlarged_size) == (40, 20, (80, 40))


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("strength", {"init_image": SMALL, "strength": 0}),
        ("strength", {"strength": 0, "upscaler": "lanczos"}),
        ("mask", {**ENLARGED, "mask": SMALL}),
        ("loras", {**ENLARGED, "loras": [{"name": "ink"}]}),
        ("controlnet", {**ENLARGED, "controlnet": {"name": "edges", "image": SMALL}}),
        ("num_images", {**ENLARGED, "num_images": 2}),
        ("width", {**ENLARGED, "width": 0, "height": 8}),
        ("upscale", {**ENLARGED, "width": 4000, "height": 4000, "upscale": 4}),
    ],
)
def test_what_only_drawing_can_is_refused_by_its_field(field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(ABLE, "larger", **asked)
    assert caught.value.details["field"] == field


def test_a_model_that_cannot_enlarge_refuses_it() -> None:
    drawing = ModelInfo(id="draws", name="Draws", engine="e", abilities=frozenset({"init_image"}))
    with pytest.raises(InvalidRequest, match="upscaler"):
        build_request(drawing, "", **ENLARGED)


def test_an_image_too_large_to_be_enlarged_so_much_is_refused_once_its_size_is_known() -> None:
    large = encode_png(np.zeros((2048, 2049, 3), np.uint8))
    plan = plan_request(ABLE, "", init_image=large, strength=0, upscaler="lanczos", upscale=4)
    decoders = Decoders()
    try:
        with pytest.raises(InvalidRequest) as caught:
            asyncio.run(plan.complete(decoders))
    finally:
        decoders.close()
    assert caught.value.details["field"] == "upscale"


@pytest.mark.parametrize("prompt", ["", "  "])
def test_an_image_to_start_from_needs_no_words(prompt: str) -> None:
    assert build_request(ABLE, prompt, init_image=SMALL).prompt == prompt

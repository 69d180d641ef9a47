"""Validation against a model's own limits, as every dialect and the CLI meet it."""

from __future__ import annotations

import math

import pytest
from visioncraft.errors import InvalidRequest
from visioncraft.requests import MAX_PROMPT_CHARACTERS, MAX_SEED, build_request
from visioncraft.types import Limits, ModelInfo

PLAIN = ModelInfo(id="plain", name="Plain", engine="e")
FEW_STEPS = ModelInfo(id="few", name="Few", engine="e", limits=Limits(steps=(1, 8), size_multiple=32))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_inference_steps", 14),
        ("num_inference_steps", 51),
        ("guidance_scale", 0.9),
        ("guidance_scale", 20.5),
        ("guidance_scale", math.nan),
        ("guidance_scale", math.inf),
        ("width", 513),
        ("height", 1032),
        ("width", -512),
        ("seed", -2),
        ("seed", MAX_SEED + 1),
        ("negative_prompt", "bell \x07"),
        ("negative_prompt", "\ud800"),
    ],
)
def test_what_lies_outside_the_limits_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(PLAIN, "a cat", **{field: value})
    assert caught.value.details["field"] == field


@pytest.mark.parametrize("prompt", ["", "   ", "x" * (MAX_PROMPT_CHARACTERS + 1), "nul \x00"])
def test_a_prompt_that_says_nothing_or_too_much_is_refused(prompt: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(PLAIN, prompt)
    assert caught.value.details["field"] == "prompt"


def test_the_limits_are_the_models_own() -> None:
    assert build_request(FEW_STEPS, "a cat", num_inference_steps=4).num_inference_steps == 4
    with pytest.raises(InvalidRequest, match="num_inference_steps"):
        build_request(FEW_STEPS, "a cat", num_inference_steps=20)


def test_a_size_off_the_grid_is_told_the_nearest_right_one() -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(FEW_STEPS, "a cat", num_inference_steps=4, width=520)
    assert caught.value.details["issue"] == "a multiple of 32 for few; nearest is 512"


def test_no_seed_draws_one_that_every_tool_can_hold() -> None:
    seeds = {build_request(PLAIN, "a cat", seed=-1).seed for _ in range(20)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_null_means_the_default_and_a_given_value_stays() -> None:
    request = build_request(PLAIN, "a cat", width=None, seed=7, leonardo_model="Phoenix-1.0")
    assert (request.width, request.seed, request.leonardo_model) == (512, 7, "phoenix-1-0")


CLOUD = ModelInfo(
    id="cloud",
    name="Cloud",
    engine="e",
    kind="cloud",
    limits=Limits(max_resolution=(1536, 1536)),
    catalogue={
        "aspect_ratios": [{"id": "1:1", "resolution": [1024, 1024]}, {"id": "16:9", "resolution": [1344, 768]}],
        "preset_styles": [{"id": "CREATIVE"}, {"id": "CINEMATIC"}],
    },
)


def test_a_cloud_models_size_is_that_of_its_aspect_ratio() -> None:
    request = build_request(CLOUD, "a cat", aspect_ratio="16:9", width=512, height=512)
    assert (request.width, request.height) == (1344, 768)
    assert build_request(CLOUD, "a cat").width == 1024


def test_a_cloud_models_choices_are_those_of_its_catalogue() -> None:
    assert build_request(CLOUD, "a cat", preset_style=" cinematic ", quality="any").preset_style == "CINEMATIC"
    with pytest.raises(InvalidRequest) as caught:
        build_request(CLOUD, "a cat", preset_style="CUBIST")
    assert caught.value.details == {"field": "preset_style", "issue": "one of: CREATIVE, CINEMATIC"}
    assert build_request(PLAIN, "a cat", preset_style="CUBIST").preset_style == "CUBIST", "others ignore it"

"""Validation against a model's own limits, as every dialect and the CLI meet it."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
from visioncraft import encode_png
from visioncraft.errors import InvalidRequest
from visioncraft.jobs.requests import MAX_PROMPT_CHARACTERS, MAX_SEED, build_request
from visioncraft.types.editing import LoRA
from visioncraft.types.models import Ability, Limits, ModelInfo

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
def test_what_lies_outside_the_limits_is_refused_by_its_field(field: str, value: Any) -> None:
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


ABLE = ModelInfo(id="able", name="Able", engine="e", abilities=frozenset(get_args(Ability)))
PICTURE = encode_png(np.zeros((300, 600, 3), np.uint8))
EDITS: dict[str, Any] = {
    "init_image": PICTURE,
    "loras": [{"name": "ink"}],
    "controlnet": {"name": "edges", "image": PICTURE},
    "clip_skip": 2,
    "hires": {"scale": 1.5},
    "upscaler": "lanczos",
}


@pytest.mark.parametrize("field", EDITS)
def test_what_a_model_cannot_is_refused_and_says_which_models_can(field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(PLAIN, "a cat", lambda: [PLAIN, ABLE], **{field: EDITS[field]})
    assert caught.value.details == {"field": field, "issue": "plain cannot use it; models that can: able"}
    with pytest.raises(InvalidRequest, match=field):
        build_request(PLAIN, "a cat", **{field: EDITS[field]})
    assert field in build_request(ABLE, "a cat", **{field: EDITS[field]}).parameters()


def test_a_request_without_any_of_it_tells_of_none_of_it() -> None:
    asked: dict[str, Any] = dict.fromkeys(("mask", "strength", "upscale", *EDITS)) | {"loras": []}
    plain = build_request(PLAIN, "a cat", seed=1)
    assert build_request(PLAIN, "a cat", seed=1, **asked) == plain
    assert set(plain.parameters()) == {
        "prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "width", "height"
    }  # fmt: skip


def test_a_picture_to_start_from_decides_the_size_where_nobody_else_does() -> None:
    free = build_request(ABLE, "a cat", init_image=PICTURE)
    assert (free.width, free.height, free.strength) == (600, 304, 0.8)
    assert build_request(ABLE, "a cat", init_image=PICTURE, width=64, height=64).width == 64
    wide = build_request(ABLE, "a cat", init_image=encode_png(np.zeros((20, 4096, 3), np.uint8)))
    assert (wide.width, wide.height) == (1024, 64)


def test_every_picture_has_the_requests_size_and_is_told_of_by_its_hash() -> None:
    request = build_request(
        ABLE, "a cat", init_image=PICTURE, mask=PICTURE, controlnet=EDITS["controlnet"], width=128, height=64
    )
    assert request.init_image and request.mask and request.controlnet
    pictures = [request.init_image, request.mask, request.controlnet.image]
    assert {(picture.width, picture.height) for picture in pictures} == {(128, 64)}
    told = request.parameters()
    assert told["init_image"] == told["mask"] == told["controlnet"]["image"] == pictures[0].reference
    assert told["strength"] == 1.0, "behind a mask everything is drawn anew"
    assert request.without_pictures().parameters() == told
    assert request.without_pictures().init_image.png == b""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("strength", {"strength": 0.5}),
        ("strength", {"init_image": PICTURE, "strength": 0.0}),
        ("strength", {"init_image": PICTURE, "strength": 0.01}),
        ("mask", {"mask": PICTURE}),
        ("mask", {"init_image": PICTURE, "mask": b"no picture"}),
        ("init_image", {"init_image": "???"}),
        ("controlnet.image", {"controlnet": {"name": "edges", "image": ""}}),
        ("controlnet.scale", {"controlnet": {**EDITS["controlnet"], "scale": 3}}),
        ("loras", {"loras": [{"name": "ink"}] * 17}),
        ("loras.1.weight", {"loras": [{"name": "ink"}, {"name": "ash", "weight": math.nan}]}),
        ("clip_skip", {"clip_skip": 13}),
        ("upscale", {"upscale": 2}),
        ("upscale", {"upscaler": "lanczos", "upscale": 9}),
        ("hires", {"hires": {}, "init_image": PICTURE}),
        ("hires.scale", {"hires": {"scale": 4}}),
        ("hires.strength", {"hires": {"strength": 0.01}}),
    ],
)
def test_edits_that_make_no_sense_are_refused_by_their_field(field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(ABLE, "a cat", **asked)
    assert caught.value.details["field"] == field


def test_a_second_pass_stays_on_the_models_grid() -> None:
    request = build_request(ABLE, "a cat", width=200, height=104, hires={"scale": 1.5, "upscaler": None})
    assert request.hires_size == (304, 160)
    assert request.parameters()["hires"] == {"scale": 1.5, "strength": 0.7, "steps": None, "upscaler": None}


@pytest.mark.parametrize(
    ("prompt", "words", "loras"),
    [
        ("a cat <lora:ink:0.8>", "a cat", [LoRA("ink", 0.8)]),
        ("<lora:ink> a <LORA:Ash v1.2:-1> cat", "a  cat", [LoRA("ink", 1.0), LoRA("Ash v1.2", -1.0)]),
        ("a cat<lora:ink:0.5:0.5>", "a cat", [LoRA("ink", 0.5)]),
        ("a cat <lora:ink:te=0.5:unet=.5>", "a cat", [LoRA("ink", 0.5)]),
        ("a < b, <x:1>, <lora>, lora:ink:1", "a < b, <x:1>, <lora>, lora:ink:1", []),
    ],
)
def test_a_tag_in_a_prompt_asks_for_a_lora_and_is_none_of_its_words(prompt: str, words: str, loras: list[LoRA]) -> None:
    request = build_request(ABLE, prompt)
    assert (request.prompt, list(request.loras)) == (words, loras)
    assert build_request(ABLE, seed=request.seed, **request.parameters()) == request, "a replay asks for the same"


def test_loras_of_tags_come_behind_those_of_the_field() -> None:
    request = build_request(ABLE, "a cat <lora:ash:2>", loras=[{"name": "ink", "weight": 0.5}])
    assert request.loras == (LoRA("ink", 0.5), LoRA("ash", 2.0))


@pytest.mark.parametrize(
    ("field", "asked", "words"),
    [
        ("prompt", {"prompt": "a cat <hypernet:old:1>"}, "<hypernet:old:1>: hypernetworks are not supported"),
        ("prompt", {"prompt": "a cat <lyco:ink:1>"}, "<lyco:ink:1>: the tag lyco is not supported"),
        ("prompt", {"prompt": "a cat <lora::1>"}, "names no LoRA"),
        ("prompt", {"prompt": "a cat <lora:ink:0.5:1>"}, "one weight"),
        ("prompt", {"prompt": "a cat <lora:ink:1:1:8>"}, "'8' is not supported"),
        ("prompt", {"prompt": "a cat <lora:ink:lbw=FACE>"}, "'lbw=FACE' is not supported"),
        ("prompt", {"prompt": "a cat <lora:ink:much>"}, "a number, not 'much'"),
        ("prompt", {"prompt": "a cat <lora:ink:nan>"}, "a number, not 'nan'"),
        ("prompt", {"prompt": "<lora:ink:1>"}, "cannot be empty"),
        ("loras.0.weight", {"prompt": "a cat <lora:ink:11>"}, "-10 to 10"),
        ("negative_prompt", {"prompt": "a cat", "negative_prompt": "bad <lora:ink:1>"}, "a tag is for the prompt"),
    ],
)
def test_a_tag_that_asks_for_what_is_not_here_is_refused(field: str, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(ABLE, **asked)
    assert caught.value.details["field"] == field and words in str(caught.value.details["issue"])


def test_a_tag_for_a_model_without_loras_is_refused_and_never_read_as_words() -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_request(PLAIN, "a cat <lora:ink:1>", lambda: [PLAIN, ABLE])
    assert caught.value.details["field"] == "prompt"
    expected = "<lora:ink> asks for a LoRA, which plain cannot use; take the tag out; models that can: able"
    assert caught.value.details["issue"] == expected

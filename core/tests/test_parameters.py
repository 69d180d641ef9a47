"""What models declare: parameters of their own, and defaults; from the request to the record and its replay."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from visioncraft import Defaults, GeneratedImage, GenerationRequest, InvalidRequest, ModelInfo, Parameter, new_image_id
from visioncraft.api.schemas.generation import GenerateBody
from visioncraft.cli.generate_options import parameter
from visioncraft.jobs.job import Job
from visioncraft.jobs.requests import build_request, request_fields
from visioncraft.jobs.storing import record_of
from visioncraft.types.parameters import RESERVED, read_value

PALETTE = Parameter("palette", text="Colours to draw with", default="warm", choices=("warm", "cold"))
GRAIN = Parameter("grain", "number", minimum=0, maximum=1)
TILES = Parameter("tiles", "boolean")
PLAIN = ModelInfo(id="plain", name="Plain", engine="toy")
PAINTER = replace(PLAIN, id="painter", parameters=(PALETTE, GRAIN, TILES))


def test_a_declared_parameter_reaches_the_request_with_its_default_and_its_place_in_the_record() -> None:
    request = build_request(PAINTER, "a cat", grain=0.5, tiles=True)
    assert request.extra == {"palette": "warm", "grain": 0.5, "tiles": True}
    assert request.extra.items() <= request.parameters().items()
    assert build_request(PLAIN, "a cat").extra == {}


@pytest.mark.parametrize(
    ("name", "value", "issue"),
    [
        ("palette", "green", "one of: warm, cold"),
        ("grain", 2, "0 to 1"),
        ("grain", float("nan"), "0 to 1"),
        ("grain", "much", "a value of the type number"),
        ("grain", True, "a value of the type number"),
        ("tiles", 1, "a value of the type boolean"),
        ("tiles", {"a": 1}, "a value of the type boolean"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_would_be_right(name: str, value: Any, issue: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build_request(PAINTER, "a cat", **{name: value})
    assert refused.value.details == {"field": name, "issue": f"{issue}, for painter"}


def test_a_model_without_the_parameter_refuses_it_and_names_those_that_have_it() -> None:
    with pytest.raises(InvalidRequest, match="palette") as refused:
        build_request(PLAIN, "a cat", lambda: [PLAIN, PAINTER], palette="cold")
    assert refused.value.details["issue"] == "plain has no such parameter; models that have it: painter"


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"name": "Palette"}, "lower-case"),
        ({"name": "guidance_scale"}, "every request has"),
        ({"name": "x", "type": "array"}, "there are: string"),
        ({"name": "x", "type": "integer", "default": 1.5}, "a value of the type integer"),
        ({"name": "x", "default": "c", "choices": ("a", "b")}, "one of: a, b"),
    ],
)
def test_a_declaration_that_no_request_could_meet_fails_when_it_is_made(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Parameter(**declared)


def test_two_parameters_of_one_name_fail_when_the_model_is_listed() -> None:
    with pytest.raises(ValueError, match="more than once: palette"):
        replace(PLAIN, parameters=(PALETTE, PALETTE))


def test_reserved_names_are_those_of_the_request_and_of_the_api() -> None:
    assert {field.name for field in fields(GenerationRequest)} | set(GenerateBody.model_fields) == RESERVED


def test_what_a_client_leaves_out_is_the_models_own_default() -> None:
    turbo = replace(PLAIN, defaults=Defaults(4, 1.0, 256, 128, "lcm"))
    request = build_request(replace(turbo, limits=replace(PLAIN.limits, steps=(1, 8))), "a cat", height=192)
    told = (request.num_inference_steps, request.guidance_scale, request.width, request.height, request.sampler)
    assert told == (4, 1.0, 256, 192, "lcm")
    plain = build_request(PLAIN, "a cat")
    assert (plain.num_inference_steps, plain.guidance_scale, plain.width, plain.height) == (20, 7.5, 512, 512)


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("true", True), ('"5"', "5"), ("warm", "warm"), ("[1]", "[1]"), ("null", "null")]
)
def test_a_value_is_read_as_people_write_it(text: str, value: object) -> None:
    assert read_value(text) == value
    assert parameter(f"palette={text}") == ("palette", value)


@pytest.mark.parametrize("text", ["palette", "seed=5"])
def test_set_takes_pairs_and_no_field_that_has_an_option_of_its_own(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parameter(text)


def test_a_record_tells_its_own_parameters_to_a_replay() -> None:
    request = build_request(PAINTER, "a cat", palette="cold", seed=7)
    job = Job("job_01kb0v7m3qj4x5n6p7r8s9t0ab", request, image_id=new_image_id())
    image = GeneratedImage(b"", request.width, request.height, request.seed)
    asked = request_fields(record_of(job, 0, "toy", image, datetime.now(UTC)))
    assert asked["palette"] == "cold" and "extra" not in asked
    assert build_request(PAINTER, asked.pop("prompt"), **{k: v for k, v in asked.items() if k != "model"}) == request

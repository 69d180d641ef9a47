"""`/openapi.json` says what the checks say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from harness import Server, error_of

SIZE = {"width": 64, "height": 64}


@pytest.fixture(scope="module")
def document(fake: Server) -> dict[str, Any]:
    found: dict[str, Any] = fake.get("/openapi.json").json()
    return found


def keys(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield name
            yield from keys(value)
    elif isinstance(document, list):
        for value in document:
            yield from keys(value)


def test_every_bound_is_a_word_of_json_schema(document: dict[str, Any]) -> None:
    assert not {"ge", "le", "gt", "lt"} & set(keys(document))
    steps = document["components"]["schemas"]["GenerateBody"]["properties"]["num_inference_steps"]["anyOf"][0]
    assert (steps["minimum"], steps["maximum"]) == (1, 1000)


@pytest.mark.parametrize(
    ("method", "path", "name", "body"),
    [
        ("POST", "/jobs", "GenerateBody", {"prompt": "x", "num_inference_steps": 0}),
        ("POST", "/jobs", "GenerateBody", {"prompt": "x", "guidance_scale": 101}),
        ("POST", "/jobs", "GenerateBody", {"prompt": "x", "seed": -2}),
        ("POST", "/jobs", "GenerateBody", {"prompt": "x", "strength": -0.1}),
        ("POST", "/jobs", "GenerateBody", {"prompt": "x", "hires": {"steps": 0}}),
        ("POST", "/jobs", "GenerateBody", {"prompt": "x", "num_images": 17}),
        ("POST", "/jobs", "GenerateBody", {"prompt": "x", "priority": 11}),
        ("POST", "/load_model", "LoadModelBody", {"model": "  "}),
        ("POST", "/load_model", "LoadModelBody", {"model": "a\nb"}),
        ("PATCH", "/images/img_01m8f4santnfppf02jxrp4ctdp", "MarksBody", {"rating": -1}),
        ("PATCH", "/images/img_01m8f4santnfppf02jxrp4ctdp", "MarksBody", {"rating": 6}),
        ("PATCH", "/images/img_01m8f4santnfppf02jxrp4ctdp", "MarksBody", {"tags": ["  "]}),
        ("PATCH", "/images/img_01m8f4santnfppf02jxrp4ctdp", "MarksBody", {"tags": [""]}),
    ],
)
def test_what_the_check_refuses_the_schema_refuses_too(
    fake: Server, document: dict[str, Any], method: str, path: str, name: str, body: dict[str, Any]
) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    assert not jsonschema_rs.is_valid(schema, body)
    error_of(fake.client.request(method, path, json=body), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("until", ["", "2026-11-23", "2026-11-23T12:30:00Z"])
def test_every_way_to_write_a_time_is_in_the_schema(fake: Server, document: dict[str, Any], until: str) -> None:
    asked = document["paths"]["/gallery"]["get"]["parameters"]
    schema = next(each["schema"] for each in asked if each["name"] == "until")
    assert jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(until)
    assert fake.get(f"/gallery?image_data=false&until={until}").status_code == 200

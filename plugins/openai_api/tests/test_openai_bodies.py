"""Bodies as careless clients write them: nothing is a 422, nothing is a 500, and what can be meant is drawn."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from harness import Server


def draw(server: Server, body: Any, **options: Any) -> Any:
    return server.post("/v1/images/generations", body, **options)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_json_is_read_whatever_its_content_type(openai_server: Server, content_type: str | None) -> None:
    answer = openai_server.client.post(
        "/v1/images/generations",
        content=json.dumps({"prompt": "fig", "size": "64x64"}),
        headers={"Content-Type": content_type} if content_type else {},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "fields",
    [
        {
            "n": None,
            "seed": None,
            "quality": None,
            "steps": None,
            "response_format": None,
            "stream": None,
            "mask": None,
        },
        {"n": "1", "steps": "16", "cfg_scale": "7", "seed": "5", "stream": "false", "output_compression": "90"},
        {"n": 1.0, "steps": 16.0, "seed": 5.0, "partial_images": 0.0},
        {"size": "", "quality": "", "model": "", "background": "", "negative_prompt": ""},
        {"size": "64X64", "quality": "HIGH", "output_format": "JPG", "response_format": "B64_JSON"},
        {"user": 5, "moderation": [], "style": {}, "metadata": {"a": 1}, "model": "no such\x00model"},
        {"loras": [], "hires": None},
    ],
)
def test_nulls_texts_and_floats_are_read_as_they_are_meant(openai_server: Server, fields: dict[str, Any]) -> None:
    answer = draw(openai_server, {"prompt": "fig", "size": "64x64", **fields})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["fig"]}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": "many"}, "n"),
        ({"n": True}, "n"),
        ({"size": 512}, "size"),
        ({"size": "0x64"}, "size"),
        ({"model": {"id": "fake"}}, "model"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1e300}, "seed"),
        ({"steps": 16.5}, "steps"),
        ({"cfg_scale": "NaN"}, "cfg_scale"),
        ({"stream": "perhaps"}, "stream"),
        ({"strength": 0.5}, "strength"),
        ({"loras": "x"}, "loras"),
        ({"loras": [{"weight": 1}]}, "loras.0.name"),
        ({"controlnet": {"name": "depth", "image": 5}}, "controlnet.image"),
        ({"hires": {"scale": "big"}}, "hires.scale"),
        ({"partial_images": 4}, "partial_images"),
        ({"response_format": "hex"}, "response_format"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(openai_server: Server, fields: dict[str, Any], param: str) -> None:
    answer = draw(openai_server, {"prompt": "fig", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"fig"', b"\xff", b'{"prompt": "\\ud800"}', b"[" * 100_000, b"NaN"]
)
def test_what_is_no_json_object_is_refused(openai_server: Server, body: bytes) -> None:
    answer = openai_server.client.post("/v1/images/generations", content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "body"), answer.text


def test_an_edit_may_come_as_json_too(openai_server: Server, apple: bytes) -> None:
    text = base64.b64encode(apple).decode()
    gallery_id = draw(openai_server, {"prompt": "fig", "size": "64x64"}).json()["data"][0]["id"]
    for image in (text, f"data:image/png;base64,{text}", {"image_url": f"data:image/png;base64,{text}"}, gallery_id):
        answer = openai_server.post("/v1/images/edits", {"prompt": "green", "images": [image]})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "image"),
        ({"image": ""}, "image"),
        ({"image": 5}, "image"),
        ({"image": [[]]}, "image"),
        ({"image": "!"}, "image"),
        ({"image": {"file_id": "file-1"}}, "image"),
        ({"image": {"image_url": "http://127.0.0.1/secret.png"}}, "image"),
        ({"image": ["a"] * 17}, "image"),
    ],
)
def test_what_is_no_image_is_refused(openai_server: Server, fields: dict[str, Any], param: str) -> None:
    answer = openai_server.post("/v1/images/edits", {"prompt": "green", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


@pytest.mark.parametrize(
    ("names", "status"),
    [(["image"], 200), (["image[]"], 200), (["image", "mask"], 200), (["image", "image[]"], 400), (["mask"], 400)],
)
def test_a_forms_files_go_by_the_names_that_clients_have(
    openai_server: Server, apple: bytes, names: list[str], status: int
) -> None:
    files = [(name, ("apple.png", apple, "application/octet-stream")) for name in names]
    data = {"prompt": "green", "n": "1", "strength": "0.5", "user": "", "response_format": "b64_json"}
    answer = openai_server.client.post("/v1/images/edits", data=data, files=files)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("body", [b"", b"--x\r\nContent-Disposition: form-data\r\n\r\nfig\r\n--x--", b"nothing of it"])
def test_a_form_that_is_none_is_refused(openai_server: Server, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = openai_server.client.post("/v1/images/edits", content=body, headers=headers)
    assert answer.status_code == 400, answer.text


def test_a_field_that_a_form_has_twice_is_refused(openai_server: Server, apple: bytes) -> None:
    files = [("image", ("a.png", apple))]
    answer = openai_server.client.post("/v1/images/edits", data={"prompt": ["a", "b"]}, files=files)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")

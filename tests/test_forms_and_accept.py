"""`POST /generate` without base64: a form with files in, the picture itself out."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from harness import Server, error_of
from PIL import Image
from visioncraft.images.png import encode_png, read_record

SIZE = {"width": 64, "height": 64}
TEXTS = {"prompt": "an apple", "width": "64", "height": "64"}
PICTURE = encode_png(np.full((64, 64, 3), 200, np.uint8))
SENT = ("start.png", PICTURE, "image/png")


def drawn_as(server: Server, accept: str | None, **fields: object) -> httpx.Response:
    headers = {} if accept is None else {"Accept": accept}
    return server.post("/generate", {"prompt": "an apple", **SIZE, **fields}, headers=headers)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("*", "application/json"),
        ("application/json", "application/json"),
        ("text/html", "application/json"),
        ("nonsense", "application/json"),
        ("image/png;q=0", "application/json"),
        ("image/png;q=0.4, application/json;q=0.5", "application/json"),
        ("image/gif, */*;q=0.1", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("image/png, */*;q=0.5", "image/png"),
        ("image/png;q=0.5, application/json;q=0.4", "image/png"),
        ("image/webp", "image/webp"),
        ("image/avif, image/webp;q=0.9, image/*;q=0.8", "image/webp"),
        ("image/jpeg", "image/jpeg"),
    ],
)
def test_accept_decides_whether_the_picture_itself_is_answered(fake: Server, accept: str | None, kind: str) -> None:
    answer = drawn_as(fake, accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    stored = fake.get(f"/images/{answer.headers['x-image-id']}").content
    assert fake.get(f"/jobs/{answer.headers['x-job-id']}").json()["status"] == "succeeded"
    if kind == "application/json":
        assert base64.b64decode(answer.json()["image"]) == stored
        return
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert (f"image/{(picture.format or '').lower()}", picture.size) == (kind, (64, 64))
    assert kind != "image/png" or answer.content == stored


def test_webp_loses_nothing_and_carries_the_parameters_as_jpeg_does(fake: Server) -> None:
    for kind in ("image/webp", "image/jpeg"):
        answer = drawn_as(fake, kind, prompt="noise of ein Löwe 🍎", seed=7)
        stored = fake.get(f"/images/{answer.headers['x-image-id']}").content
        with Image.open(io.BytesIO(answer.content)) as picture, Image.open(io.BytesIO(stored)) as original:
            comment = picture.getexif().get_ifd(0x8769)[0x9286]
            if kind == "image/webp":
                assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(original))
        assert comment[8:].decode("utf-16-be").startswith("noise of ein Löwe 🍎\nSteps: 20, ")


def test_a_picture_tells_its_warnings_in_a_header_and_errors_are_json(fake: Server) -> None:
    answer = drawn_as(fake, "image/png", steps=3)
    assert json.loads(answer.headers["x-warnings"]) == ["'steps' is not a field here; num_inference_steps is"]
    assert "x-warnings" not in drawn_as(fake, "image/png").headers
    assert len(drawn_as(fake, "image/png", **{f"x{n}" * 30: n for n in range(40)}).headers["x-warnings"]) <= 2000
    error_of(drawn_as(fake, "image/png", prompt=""), 400, "VALIDATION_ERROR")


def test_several_pictures_are_answered_as_json_or_refused_before_any_is_drawn(fake: Server) -> None:
    before = fake.pictures()
    error = error_of(drawn_as(fake, "image/png", num_images=2), 400, "VALIDATION_ERROR")
    assert error["details"]["field"] == "num_images" and fake.pictures() == before
    assert len(drawn_as(fake, "image/png, */*;q=0.1", num_images=2).json()["images"]) == 2


def form(server: Server, path: str = "/generate", files: Any = None, **texts: str) -> httpx.Response:
    return server.client.post(path, data={**TEXTS, **texts}, files=files or {"none": ("", b"")})


def test_a_form_draws_what_the_same_json_would(fake: Server) -> None:
    answer = form(fake, seed="7", num_inference_steps="20", hires='{"scale": 2}', negative_prompt="", sampler="")
    body = {"prompt": "an apple", **SIZE, "seed": 7, "num_inference_steps": 20, "hires": {"scale": 2}}
    same = fake.post("/generate", body)
    assert (answer.status_code, "warnings" in answer.json()) == (200, False)
    assert answer.json()["parameters"] == same.json()["parameters"]
    assert form(fake, **{"hires.scale": "2"}).json()["parameters"]["hires"] == same.json()["parameters"]["hires"]


@pytest.mark.parametrize("path", ["/generate", "/jobs"])
def test_pictures_come_as_files_in_every_field_that_takes_one(fake: Server, path: str) -> None:
    files = {"init_image": SENT, "mask": SENT, "controlnet.image": SENT}
    answer = form(fake, path, files, **{"controlnet.name": "canny", "strength": "0.5"})
    used = answer.json()["parameters"]
    reference = f"sha256:{hashlib.sha256(PICTURE).hexdigest()}"
    assert (used["init_image"], used["mask"], used["controlnet"]["image"]) == (reference, reference, reference)
    assert (used["strength"], used["controlnet"]["name"]) == (0.5, "canny")


def test_a_form_and_a_key_are_idempotent_with_the_same_json(fake: Server) -> None:
    key = {"Idempotency-Key": "form-or-json"}
    first = fake.client.post("/jobs", data=TEXTS, files={"init_image": SENT}, headers=key)
    body = {"prompt": "an apple", **SIZE, "init_image": base64.b64encode(PICTURE).decode()}
    assert fake.post("/jobs", body, headers=key).json()["id"] == first.json()["id"]
    fake.ended(first.json()["id"])


@pytest.mark.parametrize(
    ("texts", "files", "field", "said"),
    [
        ({"prompt": ""}, {}, "prompt", "cannot be empty"),
        ({"width": "wide"}, {}, "width", "expected an integer"),
        ({"width": "7"}, {}, "width", "greater than or equal to 8"),
        ({"guidance_scale": "NaN"}, {}, "guidance_scale", "Input should be"),
        ({"loras": "ink"}, {}, "loras", "list"),
        ({"init_image": "https://example.org/a.png"}, {}, "init_image", "a URL is not fetched"),
        ({"init_image": "img_01kb0v7m3qj4x5n6p7r8s9t0ab"}, {}, "init_image", "no picture img_01kb0v"),
        ({"controlnet.name": "canny", "controlnet.image": "http://h/x"}, {}, "controlnet.image", "not fetched"),
        ({}, {"init_image": ("empty.png", b"", "image/png")}, "init_image", "not a readable"),
        ({}, {"init_image": ("a.txt", b"words", "image/png")}, "init_image", "not a readable"),
        ({}, {"width": ("64", b"64", "text/plain")}, "width", "takes no file"),
        ({}, {"prompt": ("prompt.txt", b"an apple", "text/plain")}, "prompt", "takes no file"),
        ({"mask": "x"}, {"mask": SENT}, "mask", "more than once"),
    ],
)
def test_a_form_is_refused_as_json_is(
    fake: Server, texts: dict[str, str], files: dict[str, Any], field: str, said: str
) -> None:
    texts = {name: text for name, text in (TEXTS | texts).items() if name not in files or name == "mask"}
    answer = fake.client.post("/jobs", data=texts, files=files or {"none": ("", b"")})
    details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
    assert details["field"] == field and said in details["issue"]


@pytest.mark.parametrize(
    "body",
    [b"", b"--x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", b"\xff" * 1000, b"--x\r\n" * 9],
)
@pytest.mark.parametrize("boundary", ["; boundary=x", "", "; boundary=" + "y" * 500])
def test_what_is_no_form_is_refused(fake: Server, body: bytes, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    refused = error_of(fake.client.post("/generate", content=body, headers=headers), 400, "VALIDATION_ERROR")
    assert refused["details"]["field"] in ("body", "prompt") and refused["details"]["issue"]


def test_a_form_past_the_bound_of_a_body_is_refused(fake: Server) -> None:
    answer = form(fake, files={"init_image": ("large.png", PICTURE + bytes(17 * 2**20), "image/png")})
    assert "at most" in error_of(answer, 400, "VALIDATION_ERROR")["details"]["issue"]


def test_a_file_under_another_programs_name_is_told(fake: Server) -> None:
    told = form(fake, files={"mask_image": SENT, "image": SENT}).json()["warnings"]
    assert [each.split("'")[1] for each in told] == ["mask_image", "image"]


def test_a_picture_of_the_gallery_is_named_by_its_id(fake: Server) -> None:
    first = fake.draw("noise", **SIZE).headers["x-image-id"]
    again = fake.draw("again", init_image=first, mask=first, controlnet={"name": "canny", "image": first}, **SIZE)
    png = fake.get(f"/images/{first}").content
    reference = f"sha256:{hashlib.sha256(png).hexdigest()}"
    used = again.json()["parameters"]
    assert {used["init_image"], used["mask"], used["controlnet"]["image"]} == {reference}
    record = read_record(fake.get(f"/images/{again.headers['x-image-id']}").content)
    assert record is not None and record.parameters["init_image"] == reference

"""The fields that editors use, over a real socket: described, refused by name, carried to the worker and back."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import threading
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from harness import Server
from visioncraft import decode_png, encode_png, read_record

PIXELS = np.random.default_rng(1).integers(0, 256, (64, 128, 3), dtype=np.uint8)
PNG = encode_png(PIXELS)
PICTURE = base64.b64encode(PNG).decode()
REFERENCE = f"sha256:{hashlib.sha256(PNG).hexdigest()}"


def test_a_picture_to_start_from_reaches_the_worker_and_only_its_hash_is_kept(fake: Server) -> None:
    answer = fake.draw("x", init_image=f"data:image/png;base64,{PICTURE}", mask=PICTURE, seed=5)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    np.testing.assert_array_equal(decode_png(base64.b64decode(told["image"])), PIXELS)
    parameters = told["parameters"]
    assert (parameters["width"], parameters["height"]) == (128, 64)
    assert (parameters["init_image"], parameters["mask"], parameters["strength"]) == (REFERENCE, REFERENCE, 1.0)
    record = read_record(fake.get(f"/images/{answer.headers['x-image-id']}").content)
    assert record is not None and record.parameters == parameters
    kept = request_kept(fake, answer.headers["x-job-id"])
    assert REFERENCE.removeprefix("sha256:").encode() in kept and len(kept) < 4000


def request_kept(server: Server, job: str) -> bytes:
    """A job's request as the ledger keeps it once the job's end is written down, which is after the answer."""
    asked, clock = "SELECT request FROM jobs WHERE id = ? AND state = 'succeeded'", threading.Event()
    with closing(sqlite3.connect(server.house.folder / "data" / "jobs.sqlite3")) as ledger:
        while (row := ledger.execute(asked, (job,)).fetchone()) is None:  # pytest's timeout ends what never comes
            clock.wait(0.01)
    request: bytes = row[0]
    return request


def test_a_job_tells_of_its_pictures_by_their_hashes(fake: Server) -> None:
    asked: dict[str, Any] = {"controlnet": {"name": "edges", "image": PICTURE}, "loras": [{"name": "ink"}]}
    job = fake.submit("gated editing", num_inference_steps=15, init_image=PICTURE, **asked)
    fake.reached("editing", 0)
    waiting = fake.get(f"/jobs/{job}").text
    assert REFERENCE in waiting and PICTURE[:100] not in waiting
    assert PICTURE[:100] not in fake.get("/jobs").text
    fake.permit("editing", 15)
    ended = fake.ended(job)
    assert ended["status"] == "succeeded"
    assert ended["parameters"]["controlnet"] == {"name": "edges", "image": REFERENCE, "scale": 1.0}
    assert ended["parameters"]["loras"] == [{"name": "ink", "weight": 1.0}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("init_image", 7),
        ("init_image", "no picture"),
        ("strength", 0),
        ("strength", "1"),
        ("loras", {}),
        ("loras.0.name", [{"weight": 1}]),
        ("loras.0.weight", [{"name": "a", "weight": 11}]),
        ("controlnet.image", {"name": "edges"}),
        ("clip_skip", 0),
        ("hires.scale", {"scale": 0.5}),
        ("upscaler", ""),
        ("upscale", 0),
    ],
)
@pytest.mark.usefixtures("unharmed")
def test_a_wrong_field_is_refused_by_its_own_name(fake: Server, field: str, value: object) -> None:
    answer = fake.draw("x", **{field.partition(".")[0]: value})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert answer.json()["error"]["details"]["field"] == field


@pytest.mark.parametrize("route", ["/generate", "/jobs"])
def test_a_model_that_cannot_says_which_models_can(fake: Server, route: str) -> None:
    body = {"prompt": "x", "model": "fake-few-steps", "num_inference_steps": 1, "init_image": PICTURE}
    details = fake.post(route, body).json()["error"]["details"]
    assert details == {"field": "init_image", "issue": "fake-few-steps cannot use it; models that can: fake"}
    assert "init_image" in fake.get("/models").json()["local_models"]["fake"]["abilities"]


def test_a_replay_of_an_edited_picture_says_that_its_source_is_not_kept(fake: Server) -> None:
    image = fake.draw("x", init_image=PICTURE).headers["x-image-id"]
    answer = fake.post(f"/images/{image}/replay")
    assert answer.status_code == 400
    assert "not kept" in answer.json()["error"]["details"]["issue"]


def test_openapi_describes_every_field(fake: Server) -> None:
    schemas = fake.get("/openapi.json").json()["components"]["schemas"]
    described = schemas["GenerateBody"]["properties"]
    for field in ("init_image", "strength", "mask", "loras", "controlnet", "clip_skip", "hires", "upscaler", "upscale"):
        assert described[field]["description"], field
    assert {"LoRABody", "ControlNetBody", "HiresBody"} <= set(schemas)

"""Several pictures in one request: one job, each picture stored once, whatever is killed meanwhile."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import House, Server, fake_house, served
from visioncraft import decode_png, read_record


def drawn(png: bytes) -> list[int]:
    """The fake engine's colour, which is the seed's."""
    return [int(value) for value in decode_png(png)[0, 0]]


def test_several_pictures_come_with_seeds_that_follow_each_other(fake: Server) -> None:
    before = fake.pictures()
    answer = fake.draw("x", num_images=3, seed=5, width=64, height=64)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["images"][0]["image"] == told["image"] and told["parameters"]["num_inference_steps"] == 20
    assert [image["seed"] for image in told["images"]] == [5, 6, 7]
    assert len({image["id"] for image in told["images"]}) == 3 and fake.pictures() == before + 3
    for image in told["images"]:
        png = base64.b64decode(image["image"])
        record = read_record(png)
        assert record is not None and record.id == image["id"] and "num_images" not in record.parameters
        assert drawn(png) == [image["seed"], 0, 0]
        alone = fake.draw("x", seed=image["seed"], width=64, height=64).json()
        np.testing.assert_array_equal(decode_png(base64.b64decode(alone["image"])), decode_png(png))
        assert "images" not in alone


def test_the_embedded_model_draws_them_at_once_and_each_as_it_is_alone(real: Server) -> None:
    asked = {"model": "visioncraft-mini", "width": 256, "height": 256, "num_inference_steps": 4, "seed": 3}
    job = real.submit("red apple", num_images=2, **asked)
    with real.client.stream("GET", f"/jobs/{job}/events") as stream:
        told = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")]
    first_done = next(event for event in told if event["stage"] == "decoding")
    assert first_done["step"] > 4, "one after another, the first is done before the second's first step"
    images = real.get(f"/jobs/{job}").json()["images"]
    assert [image["seed"] for image in images] == [3, 4]
    for image in images:
        together = decode_png(real.get(f"/images/{image['id']}").content).astype(int)
        alone = real.draw("red apple", **{**asked, "seed": image["seed"]}).json()["image"]
        assert np.abs(together - decode_png(base64.b64decode(alone))).max() <= 1


def test_a_job_of_several_tells_of_each_as_it_is_stored(fake: Server) -> None:
    job = fake.submit("gated several", num_images=2, num_inference_steps=15, width=64, height=64)
    fake.permit("several", 15)
    while len(running := fake.get(f"/jobs/{job}").json()["images"]) < 1:
        pass
    told = fake.get(f"/jobs/{job}").json()
    assert (told["status"], told["steps"], told["image"], len(running)) == ("running", 30, None, 1)
    fake.permit("several", 15)
    ended = fake.ended(job)
    assert (ended["status"], ended["step"], len(ended["images"])) == ("succeeded", 30, 2)
    assert ended["images"][0] == ended["image"]


@pytest.mark.parametrize("wrong", [{"num_images": 0}, {"num_images": 17}, {"num_images": 2, "seed": 2**63 - 1}])
def test_too_many_or_none_are_refused_by_their_field(fake: Server, wrong: dict[str, int]) -> None:
    answer = fake.draw("x", **wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["field"] in wrong


@pytest.fixture
def shed(tmp_path: Path) -> Iterator[House]:
    yield fake_house(tmp_path)


def test_a_server_that_is_killed_goes_on_with_the_pictures_that_are_missing(shed: House) -> None:
    with served(shed) as first:
        job = first.submit("gated cut", num_images=3, num_inference_steps=15, width=64, height=64, seed=5)
        first.permit("cut", 20)
        first.reached("cut", 20)
        while not (stored := [image["id"] for image in first.get(f"/jobs/{job}").json()["images"]]):
            pass
        assert len(stored) == 1
        first.process.kill()
        first.process.wait()
    with served(shed) as second:
        second.permit("cut", 30)
        ended = second.ended(job)
        assert second.get("/fake/steps/cut").json() == 30, "the first picture is not drawn again"
        assert second.pictures() == 3
    assert ended["status"] == "succeeded"
    assert [image["seed"] for image in ended["images"]] == [5, 6, 7]
    assert ended["images"][0]["id"] == stored[0]

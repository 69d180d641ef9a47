"""What a client sees of the queue, and stops of it: its own jobs in this dialect, nobody else's."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests
from a1111_houses import a1111_house
from dialect_kit import TOKEN, full_queue, png
from harness import Server, served
from visioncraft.testing import PATIENCE_S
from webuiapi import WebUIApi


class Asking(threading.Thread):
    """Somebody who waits for an answer, and remembers it."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.answer: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except BaseException as error:
            self.error = error


def drawing(webui: WebUIApi, gate: str, **asked: Any) -> Asking:
    return Asking(lambda: webui.txt2img(prompt=f"gated {gate}", width=64, height=64, **asked))


def until(webui: WebUIApi, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Ask for the progress until something holds of it; pytest's timeout ends what never comes."""
    while True:
        found: dict[str, Any] = webui.get_progress()
        if holds(found):
            return found


def test_progress_shows_the_running_image_and_idle_is_nought(webui: WebUIApi, a1111: Server) -> None:
    idle = webui.get_progress()
    assert (idle["progress"], idle["state"]["job_count"], idle["state"]["job"]) == (0, 0, "")
    asking = drawing(webui, "shown")
    until(webui, lambda found: found["state"]["job"] == "scripts_txt2img")
    assert webui.get_progress()["current_image"] is None
    a1111.permit("shown", 1)
    found = until(webui, lambda found: found["current_image"])
    assert found["progress"] == pytest.approx(1 / 15)
    assert (found["state"]["sampling_step"], found["state"]["sampling_steps"]) == (1, 15)
    skipped = a1111.get("/sdapi/v1/progress?skip_current_image=true").json()
    assert skipped["current_image"] is None and skipped["state"]["job_count"] == 1
    a1111.permit("shown", 14)
    asking.join()
    assert asking.answer.image.size == (64, 64)
    assert webui.get_progress()["progress"] == 0


def test_interrupt_stops_this_dialects_job_and_leaves_others(webui: WebUIApi, a1111: Server) -> None:
    asking = drawing(webui, "stopped")
    a1111.permit("stopped", 1)
    a1111.reached("stopped", 1)
    other = a1111.submit("gated other", width=64, height=64)
    assert webui.interrupt() == {}
    a1111.permit("stopped", 1)
    asking.join()
    assert isinstance(asking.error, RuntimeError) and asking.error.args[0] == 409
    a1111.permit("other", 20)
    assert a1111.ended(other)["status"] == "succeeded"


def test_what_was_done_before_an_interrupt_is_answered(webui: WebUIApi, a1111: Server) -> None:
    asking = drawing(webui, "half", n_iter=2, seed=4)
    a1111.permit("half", 16)
    a1111.reached("half", 16)
    assert webui.skip() == {}
    a1111.permit("half", 1)
    asking.join()
    assert [len(asking.answer.images), asking.answer.info["all_seeds"]] == [1, [4]]


def test_a_client_that_has_left_is_not_drawn_for_twice(webui: WebUIApi, a1111: Server) -> None:
    before = a1111.pictures()
    body = {"prompt": "gated left", "width": 64, "height": 64}
    a1111.permit("left", 1)
    with closing(HTTPConnection("127.0.0.1", a1111.port)) as impatient:
        impatient.request("POST", "/sdapi/v1/txt2img", json.dumps(body))
        a1111.reached("left", 1)
    until(webui, lambda found: found["textinfo"] in ("cancelling", None))
    a1111.permit("left", 60)
    assert a1111.post("/sdapi/v1/txt2img", body).status_code == 200
    assert a1111.pictures() == before + 1


def test_a_key_gives_the_same_image_again(a1111: Server) -> None:
    before = a1111.pictures()
    asked = [
        a1111.post("/sdapi/v1/txt2img", {"prompt": "once", "width": 64}, headers={"Idempotency-Key": "a1111-once"})
        for _ in range(2)
    ]
    assert asked[0].json()["images"] == asked[1].json()["images"]
    assert a1111.pictures() == before + 1


def test_a_key_of_several_images_gives_each_of_them_again(a1111: Server) -> None:
    before = a1111.pictures()
    sent = [b64encode(png(colour)).decode() for colour in ("red", "blue")]
    body = {"imageList": [{"data": image, "name": ""} for image in sent], "upscaler_1": "Lanczos"}
    headers = {"Idempotency-Key": "a1111-several"}
    asked = [a1111.post("/sdapi/v1/extra-batch-images", body, headers=headers) for _ in range(2)]
    assert asked[0].status_code == 200, asked[0].text
    assert asked[0].json()["images"] == asked[1].json()["images"]
    assert a1111.pictures() == before + 2


def test_a_full_queue_says_when_to_come_back(webui: WebUIApi, a1111: Server) -> None:
    with full_queue(a1111, "a1111-full"):
        refused = a1111.post("/sdapi/v1/txt2img", {"prompt": "one more", "width": 64, "height": 64})
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert "queue is full" in refused.json()["detail"]
    assert webui.txt2img(prompt="now", width=64, height=64).image.size == (64, 64)


def test_the_token_is_a_password_of_http_basic(tmp_path: Path) -> None:
    house = a1111_house(tmp_path)
    house.env = {"VISIONCRAFT_TOKEN": TOKEN}
    with served(house) as server:
        refused = requests.get(f"{server.url}/sdapi/v1/cmd-flags", timeout=PATIENCE_S)
        assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Basic ")
        assert "detail" in refused.json()
        webui = WebUIApi(host="127.0.0.1", port=server.port, username="anybody", password=TOKEN)
        assert webui.txt2img(prompt="a key", width=64, height=64).image.size == (64, 64)
        wrong = WebUIApi(host="127.0.0.1", port=server.port, username="anybody", password="not-the-token")
        with pytest.raises(RuntimeError) as caught:
            wrong.txt2img(prompt="no key", width=64, height=64)
        assert caught.value.args[0] == 401
        assert webui.set_options({"sd_model_checkpoint": "fake-few-steps", "samples_format": "webp"}) == {}
    with served(house) as server:
        webui = WebUIApi(host="127.0.0.1", port=server.port, username="anybody", password=TOKEN)
        assert webui.util_get_current_model() == "fake-few-steps"
        assert webui.txt2img(prompt="after a restart", width=64, height=64).image.format == "WEBP"

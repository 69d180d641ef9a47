"""Leonardo.ai behind the server: the contract's words, keys, credits, cancelling; over real sockets to a stand-in."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import House, Server, error_of, free_port, served
from PIL import Image
from standin import KEY, StandIn
from standin_http import standing_in
from visioncraft.testing import PATIENCE_S

CANARY_END = KEY[-4:]
KILLS = int(os.environ.get("VISIONCRAFT_LEONARDO_KILLS", "1"))
"""How often a server is killed at each place; the long form is `make soak`."""


def leonardo_house(folder: Path, base_url: str, **table: Any) -> House:
    """A house that draws on Leonardo.ai alone, with its key in the environment."""
    quick = {"poll_s": 0.01, "poll_max_s": 0.05, "reconcile_s": 0.5, "attempts": 3, "private_hosts": ["127.0.0.1"]}
    tables: dict[str, Mapping[str, Any]] = {
        "plugins": {"enabled": ["leonardo", "gallery_fs"]},
        "plugins.config.leonardo": {**quick, "base_url": base_url, **table},
    }
    return House(folder, tables, {"LEONARDO_API_KEY": KEY})


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with standing_in(StandIn(side=64)) as server:
        yield server


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, standin: StandIn) -> Iterator[Server]:
    with served(leonardo_house(tmp_path_factory.mktemp("cloud"), standin.base_url)) as server:
        yield server


def test_a_picture_is_answered_and_kept_with_what_was_used(cloud: Server, standin: StandIn) -> None:
    answer = cloud.draw("kept", model="leonardo-api", aspect_ratio="3:2", seed=12, preset_style="cinematic")
    document = answer.json()
    assert (document["model"], document["seed"], document["vram_used"]) == ("leonardo-api", 12, 0)
    parameters = document["parameters"]
    assert (parameters["width"], parameters["height"], parameters["preset_style"]) == (1216, 832, "CINEMATIC")
    picture = Image.open(io.BytesIO(base64.b64decode(document["image"])))
    assert picture.format == "PNG"
    inside = json.loads(picture.text["visioncraft"])  # type: ignore[attr-defined]
    assert inside["facts"]["leonardo"]["generation"] == standin.of("kept")[0]["id"]
    assert cloud.get("/gallery?limit=1").json()["images"][0]["prompt"] == "kept"


def test_what_can_be_asked_of_leonardo_is_told(cloud: Server) -> None:
    document = cloud.get("/models").json()["cloud_models"]["leonardo-api"]
    assert document["models"]["phoenix-1-0"]["id"] == "de7d3faf-762f-48e0-b3b7-9d0ac3a3fcf3"
    assert len(document["models"]) >= 14
    assert {"id": "16:9", "name": "Widescreen", "resolution": [1344, 768]} in document["aspect_ratios"]
    assert len(document["preset_styles"]) == 10 and len(document["quality_levels"]) == 3


def test_status_shows_the_credits_and_what_was_spent(cloud: Server, standin: StandIn) -> None:
    status = cloud.get("/status").json()
    brief = {"name": "Leonardo.ai API", "type": "api", "quality": "Professional"}
    assert status["available_generators"]["leonardo-api"] == brief
    facts = status["system_info"]["backends"]["leonardo"]
    assert facts["credits"] > 8000 and facts["key"] == "set" and facts["spent_today"] >= 0
    asked = standin.asked["me"]
    cloud.get("/status")
    assert standin.asked["me"] == asked, "not at every status"


def test_leonardo_is_listed_offline_and_without_a_key(tmp_path: Path) -> None:
    house = leonardo_house(tmp_path, f"http://127.0.0.1:{free_port()}/api")
    with served(house) as server:
        assert "leonardo-api" in server.get("/models").json()["cloud_models"]
        status = server.get("/status").json()
        assert "leonardo-api" in status["available_generators"]
        assert "credits" not in status["system_info"]["backends"]["leonardo"]
        error_of(server.draw(model="leonardo-api"), 503, "SERVICE_UNAVAILABLE")
        # A key cannot be checked now: it is kept.
        kept = server.post("/api-key", {"service": "leonardo-api", "api_key": "any-key-at-all"})
        assert kept.json()["key_preview"] == "************-all"
    house.env = {}
    house.keys.unlink()
    with served(house) as server:
        assert "leonardo-api" in server.get("/status").json()["available_generators"]
        error = error_of(server.draw(model="leonardo-api"), 401, "AUTHENTICATION_ERROR")
        assert "visioncraft api-key leonardo-api" in error["message"]


def test_a_key_is_asked_about_before_it_is_kept(cloud: Server) -> None:
    for wrong in ("no-uuid-at-all", "00000000-0000-4000-8000-000000000000"):
        answer = cloud.post("/api-key", {"service": "leonardo-api", "api_key": wrong})
        error = error_of(answer, 401, "AUTHENTICATION_ERROR")
        assert "refused the API key" in error["message"] and wrong not in answer.text
    assert not cloud.house.keys.exists()
    assert cloud.post("/api-key", {"service": "leonardo-api", "api_key": KEY}).status_code == 200
    assert json.loads(cloud.house.keys.read_text())["leonardo-api"] == KEY


def test_the_command_line_asks_too_and_says_which_key_comes_first(cloud: Server) -> None:
    house = cloud.house
    refused = house.command("api-key", "leonardo-api", "00000000-0000-4000-8000-000000000000")
    assert refused.returncode != 0 and "refused the API key" in refused.stderr
    kept = house.command("api-key", "leonardo-api", KEY)
    assert kept.returncode == 0 and f"key ************{CANARY_END} kept" in kept.stdout
    assert "LEONARDO_API_KEY is set and comes before" in kept.stdout
    assert "could not be asked" not in kept.stdout


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("moderation", 502, "LEONARDO_API_ERROR"),
        ("failed", 502, "LEONARDO_API_ERROR"),
        ("reset", 502, "LEONARDO_API_ERROR"),
        ("429 777", 429, "RATE_LIMIT_EXCEEDED"),
    ],
)
def test_trouble_is_told_in_the_contracts_words(
    fault: str, status: int, code: str, cloud: Server, standin: StandIn
) -> None:
    standin.fault("order", fault, prompt="trouble")
    answer = cloud.draw("trouble", model="leonardo-api", preset_style="CREATIVE")
    error = error_of(answer, status, code)
    if status == 429:
        assert answer.headers["retry-after"] == "777"
    else:
        assert error["details"]["api_error"] and error["details"]["suggestion"]


@pytest.mark.parametrize(
    ("field", "value"), [("aspect_ratio", "7:5"), ("preset_style", "CUBIST"), ("quality", "best"), ("seed", 10**10)]
)
def test_bad_choices_are_validation_errors_that_name_the_field(
    field: str, value: Any, cloud: Server, standin: StandIn
) -> None:
    orders = standin.asked["order"]
    details = error_of(cloud.draw(model="leonardo-api", **{field: value}), 400, "VALIDATION_ERROR")["details"]
    assert details["field"] == field
    assert standin.asked["order"] == orders


def test_a_cancelled_job_is_deleted_at_leonardo(cloud: Server, standin: StandIn) -> None:
    standin.held.clear()
    standin.release.clear()
    standin.fault("generation", "hold", prompt="to be cancelled")
    job = cloud.submit("to be cancelled", model="leonardo-api")
    assert standin.held.wait(PATIENCE_S)
    assert cloud.get(f"/jobs/{job}").json()["stage"] == "pending"
    cloud.delete(f"/jobs/{job}")
    standin.release.set()
    assert cloud.ended(job)["status"] == "cancelled"
    assert standin.of("to be cancelled")[0]["id"] in standin.deleted


def test_more_jobs_than_leonardo_draws_at_once_wait_here(cloud: Server, standin: StandIn) -> None:
    standin.most_pending = 0
    jobs = [cloud.submit(f"one of many {n}", model="leonardo-api", preset_style="CREATIVE") for n in range(14)]
    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(cloud.ended, jobs))
    assert [job["status"] for job in ended] == ["succeeded"] * 14
    assert 1 <= standin.most_pending <= 10


def test_the_key_stands_in_its_own_file_and_nowhere_else(cloud: Server) -> None:
    assert cloud.draw("with a key", model="leonardo-api", preset_style="CREATIVE").status_code == 200
    pages = [cloud.get(path).text for path in ("/status", "/models", "/plugins", "/gallery", "/openapi.json")]
    assert not any(KEY in page for page in pages)
    holders = [f for f in cloud.house.folder.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]
    assert [file.name for file in holders] in ([], ["api_keys.json"])


def test_an_order_is_not_made_again_by_a_client_that_hangs_up(cloud: Server, standin: StandIn) -> None:
    standin.held.clear()
    standin.release.clear()
    standin.fault("order", "hold", prompt="hung up")
    body = json.dumps({"prompt": "hung up", "model": "leonardo-api"}).encode()
    fields = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST /generate HTTP/1.1\r\n{fields}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", cloud.port)) as client:
        client.sendall(head.encode() + body)
        assert standin.held.wait(PATIENCE_S)
    standin.release.set()
    while not (made := standin.of("hung up")) or made[0]["id"] not in standin.deleted:
        assert cloud.get("/health").status_code == 200
    assert len(standin.of("hung up")) == 1


@pytest.mark.parametrize("route", ["order", "generation", "picture"])
def test_a_killed_server_goes_on_with_what_it_ordered_and_orders_nothing_twice(tmp_path: Path, route: str) -> None:
    with standing_in(StandIn(side=64)) as upstream:
        house = leonardo_house(tmp_path, upstream.base_url)
        for number in range(KILLS):
            prompt = f"server killed at {route} {number}"
            upstream.held.clear()
            upstream.release.clear()
            upstream.fault(route, "hold", prompt=prompt)
            with served(house) as server:
                job = server.submit(prompt, model="leonardo-api")
                assert upstream.held.wait(PATIENCE_S), "the order never got there"
                server.process.kill()
                server.process.wait(PATIENCE_S)
                upstream.release.set()
            with served(house) as server:
                done = server.ended(job)
                assert (done["status"], server.pictures()) == ("succeeded", number + 1)
        assert upstream.asked["order"] == len(upstream.generations) == KILLS


def test_a_server_that_ends_in_order_leaves_the_order_upstream_and_polls_it_later(tmp_path: Path) -> None:
    with standing_in(StandIn(side=64)) as upstream:
        house = leonardo_house(tmp_path, upstream.base_url)
        upstream.fault("generation", "hold", prompt="left waiting")
        with served(house) as server:
            job = server.submit("left waiting", model="leonardo-api")
            assert upstream.held.wait(PATIENCE_S)
            server.process.terminate()
            server.process.wait(PATIENCE_S)
            upstream.release.set()
        with served(house) as server:
            assert server.ended(job)["status"] == "succeeded"
        assert (upstream.asked["order"], upstream.asked["delete"]) == (1, 0)

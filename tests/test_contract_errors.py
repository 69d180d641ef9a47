"""docs/api-contract.md, "Error Handling": every code, in its envelope, and nothing beside it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from harness import House, Server, error_of, served


def test_an_empty_prompt_is_refused_in_the_contracts_words(fake: Server) -> None:
    assert error_of(fake.draw(""), 400, "VALIDATION_ERROR") == {
        "code": "VALIDATION_ERROR",
        "message": "Invalid prompt provided",
        "details": {"field": "prompt", "issue": "Prompt cannot be empty"},
    }


@pytest.mark.parametrize("route", ["/generate", "/jobs", "/load_model"])
def test_an_unknown_model_is_told_the_available_ones(fake: Server, route: str) -> None:
    answer = fake.post(route, {"prompt": "x", "model": "invalid-model"})
    assert error_of(answer, 404, "MODEL_NOT_AVAILABLE") == {
        "code": "MODEL_NOT_AVAILABLE",
        "message": "Model 'invalid-model' not available",
        "available_models": ["fake", "fake-few-steps", "leonardo-api"],
    }


def test_a_model_without_weights_is_told_the_command_that_fetches_it(fake: Server) -> None:
    error = error_of(fake.draw(model="absent"), 404, "MODEL_NOT_AVAILABLE")
    assert error["details"]["suggestion"] == "fetch absent"


def test_too_little_memory_is_said_in_numbers(fake: Server) -> None:
    assert error_of(fake.draw("fail: vram"), 503, "INSUFFICIENT_VRAM") == {
        "code": "INSUFFICIENT_VRAM",
        "message": "Not enough VRAM for requested resolution",
        "vram_available": 3.2,
        "vram_required": 6.5,
    }


def test_an_upstream_failure_names_its_words_and_a_way_out(fake: Server) -> None:
    error = error_of(fake.draw("fail: upstream", model="leonardo-api"), 502, "LEONARDO_API_ERROR")
    assert error == {
        "code": "LEONARDO_API_ERROR",
        "message": "Leonardo.ai generation failed",
        "details": {"api_error": "Invalid model ID", "suggestion": "Check available models"},
    }


def test_an_upstream_rate_limit_says_when_to_come_back(fake: Server) -> None:
    answer = fake.draw("fail: limited", model="leonardo-api")
    error_of(answer, 429, "RATE_LIMIT_EXCEEDED")
    assert answer.headers["retry-after"] == "8"


def test_a_service_that_is_away_is_503(fake: Server) -> None:
    assert error_of(fake.draw("fail: unavailable"), 503, "SERVICE_UNAVAILABLE")["message"].startswith("The engine")


@pytest.mark.parametrize("path", ["/nowhere", "/jobs/job_01kb0v7m3qj4x5n6p7r8s9t0ab", "/images/img_none", "/docs/x"])
def test_what_is_not_there_is_404(fake: Server, path: str) -> None:
    error_of(fake.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/generate"), ("POST", "/gallery"), ("PUT", "/"), ("PATCH", "/jobs")]
)
def test_a_method_that_a_route_does_not_take_is_405(fake: Server, method: str, path: str) -> None:
    answer = fake.client.request(method, path)
    error_of(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"]


def test_a_full_queue_is_429_until_it_is_not(fake: Server) -> None:
    jobs = [fake.submit("gated full") for _ in range(5)]
    for refused in (fake.draw(), fake.post("/jobs", {"prompt": "x"})):
        error_of(refused, 429, "RATE_LIMIT_EXCEEDED")
        assert int(refused.headers["retry-after"]) >= 1
    fake.permit("full", 100)
    assert [fake.ended(job)["status"] for job in jobs] == ["succeeded"] * 5
    assert fake.draw().status_code == 200


@pytest.mark.parametrize("crash", ["in the engine", "in a route"])
def test_a_crash_is_500_and_tells_nothing(fake: Server, crash: str) -> None:
    answer = fake.draw("fail: crash") if crash == "in the engine" else fake.get("/fake/crash")
    error_of(answer, 500, "INTERNAL_ERROR")
    for leak in ("hunter2", "/home/somebody", "Traceback", "RuntimeError"):
        assert leak not in answer.text
    assert "hunter2" in fake.log.read_text("utf-8")
    assert fake.draw().status_code == 200


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    house = House(tmp_path_factory.mktemp("guarded"), {"plugins": {"enabled": ["gallery_fs"]}})
    house.env = {"VISIONCRAFT_TOKEN": "a-token-of-this-test"}
    with served(house) as server:
        yield server


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer", "Basic YTpi", "a-token-of-this-test", "Bearer ü"])
def test_without_the_token_a_guarded_server_answers_401(guarded: Server, given: str | None) -> None:
    headers = {"Authorization": given.encode()} if given else {}
    answer = httpx.get(f"{guarded.url}/status", headers=headers)  # type: ignore[arg-type]
    error_of(answer, 401, "AUTHENTICATION_ERROR")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_token_opens_a_guarded_server_and_some_pages_need_none(guarded: Server) -> None:
    assert guarded.get("/status").status_code == 200
    for path in ("/", "/health", "/docs", "/redoc", "/openapi.json", "/docs-assets/swagger-ui.css"):
        assert httpx.get(guarded.url + path).status_code == 200, path
    assert "a-token-of-this-test" not in guarded.get("/status").text + guarded.log.read_text("utf-8")

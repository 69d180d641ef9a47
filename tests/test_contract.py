"""docs/api-contract.md, route by route and field by field, on a server whose engine draws one colour."""

from __future__ import annotations

import base64
import io
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import House, Server, error_of, served
from PIL import Image

NUMBER = (int, float)
PARAMETERS = {
    "prompt": str,
    "negative_prompt": str,
    "num_inference_steps": int,
    "guidance_scale": NUMBER,
    "width": int,
    "height": int,
}


def has(document: dict[str, Any], shape: dict[str, Any]) -> None:
    """Every field of the contract is there with its type; further fields may be."""
    for name, kind in shape.items():
        assert name in document, f"{name} is missing in {sorted(document)}"
        assert isinstance(document[name], kind) and (kind is bool or not isinstance(document[name], bool)), name


def test_root_says_what_the_contract_says(fake: Server) -> None:
    answer = fake.get("/")
    assert answer.status_code == 200
    assert answer.json() == {"message": "VisionCraft Pro API", "status": "running", "version": "1.0.0"}


def test_status_has_every_field_of_the_contract(fake: Server) -> None:
    status = fake.get("/status").json()
    has(status, {"device": str, "device_name": str, "vram_total": NUMBER, "vram_used": NUMBER, "vram_free": NUMBER})
    has(status, {"model_loaded": bool, "current_model": str, "current_generator_type": str})
    has(status["available_models"]["fake"], {"name": str, "quality": str, "vram_required": str})
    assert status["available_generators"]["leonardo-api"] == {
        "name": "Leonardo.ai API",
        "type": "api",
        "quality": "Professional",
    }
    has(status["system_info"], {"python_version": str, "cuda_available": bool, "cuda_version": (str, type(None))})


def test_generate_answers_a_png_and_the_facts_of_its_making(fake: Server) -> None:
    answer = fake.draw("red apple", negative_prompt="blurry", width=256, height=192, seed=123456789)
    document = answer.json()
    has(document, {"image": str, "generation_time": float, "vram_used": float, "model": str, "seed": int})
    has(document["parameters"], PARAMETERS)
    assert (document["seed"], document["model"]) == (123456789, "fake")
    picture = Image.open(io.BytesIO(base64.b64decode(document["image"], validate=True)))
    assert (picture.format, picture.size) == ("PNG", (256, 192))


def test_generate_fills_in_the_contracts_defaults(fake: Server) -> None:
    document = fake.draw("only a prompt").json()
    assert document["parameters"] == {
        "prompt": "only a prompt",
        "negative_prompt": "",
        "num_inference_steps": 20,
        "guidance_scale": 7.5,
        "width": 512,
        "height": 512,
    }


def test_null_means_the_default(fake: Server) -> None:
    names = ("negative_prompt", "num_inference_steps", "guidance_scale", "width", "height", "seed", "model", "quality")
    document = fake.draw("nulls", **dict.fromkeys(names)).json()
    assert document["parameters"] == fake.draw("nulls").json()["parameters"]


def test_seed_minus_one_draws_a_new_seed_each_time(fake: Server) -> None:
    seeds = {fake.draw("seeds", seed=-1, width=64, height=64).json()["seed"] for _ in range(3)}
    assert len(seeds) == 3 and min(seeds) >= 0


def test_the_cloud_generator_is_handed_the_contracts_fields(fake: Server) -> None:
    asked = {"leonardo_model": "phoenix-1-0", "aspect_ratio": "16:9", "preset_style": "CINEMATIC", "quality": "high"}
    assert fake.draw("a futuristic city", model="leonardo-api", **asked).status_code == 200
    got = fake.get("/fake/seen").json()[-1]
    assert got | asked == got


def test_both_spellings_of_phoenix_and_none_are_one_model(fake: Server) -> None:
    for spelling in ({"leonardo_model": "phoenix-1.0"}, {"leonardo_model": "phoenix-1-0"}, {}):
        assert fake.draw("city", model="leonardo-api", **spelling).status_code == 200
    last = fake.get("/fake/seen").json()[-3:]
    assert [got["leonardo_model"] for got in last] == ["phoenix-1-0"] * 3
    assert {"aspect_ratio": "1:1", "preset_style": "CREATIVE", "quality": "standard"}.items() <= last[-1].items()


def test_load_model_answers_in_the_contracts_words(fake: Server) -> None:
    document = fake.post("/load_model", {"model": "fake"}).json()
    has(document, {"message": str, "model": str, "vram_used": NUMBER, "load_time": NUMBER})
    assert (document["message"], document["model"]) == ("Model loaded successfully", "fake")


def test_models_lists_local_and_cloud_models(fake: Server) -> None:
    document = fake.get("/models").json()
    local = document["local_models"]["fake"]
    has(local, {"name": str, "quality": str, "vram_required": str, "max_resolution": list, "description": str})
    assert local["max_resolution"] == [1024, 1024]
    cloud = document["cloud_models"]["leonardo-api"]
    assert cloud["models"]["phoenix-1-0"]["id"] == "de7d3faf-762f-48e0-b3b7-9d0ac3a3fcf3"
    assert cloud["aspect_ratios"][0] == {"id": "1:1", "name": "Square", "resolution": [1024, 1024]}
    assert {"preset_styles", "quality_levels"} <= set(cloud)
    assert "absent" not in document["local_models"]


def test_gallery_entry_has_every_field_of_the_contract(fake: Server) -> None:
    drawn = fake.draw("for the gallery", seed=77, width=64, height=64).json()
    page = fake.get("/gallery").json()
    assert (page["limit"], page["offset"], page["total_count"]) == (50, 0, fake.pictures())
    first = page["images"][0]
    has(first, {"id": str, "filename": str, "prompt": str, "negative_prompt": str, "model": str, "seed": int})
    has(first, {"generation_time": NUMBER, "vram_used": NUMBER, "width": int, "height": int, "created_at": str})
    assert (first["prompt"], first["seed"], first["image_data"]) == ("for the gallery", 77, drawn["image"])
    assert first["created_at"].endswith("Z")


def test_gallery_pages_and_filters(fake: Server) -> None:
    fake.draw("few steps", model="fake-few-steps", num_inference_steps=2, guidance_scale=1, width=64, height=64)
    fake.draw("after it", width=64, height=64)
    filtered = fake.get("/gallery?model=fake-few-steps&image_data=false").json()
    assert {image["model"] for image in filtered["images"]} == {"fake-few-steps"}
    second = fake.get("/gallery?limit=1&offset=1&image_data=false").json()
    assert [image["prompt"] for image in second["images"]] == ["few steps"]
    assert (second["limit"], second["offset"]) == (1, 1)


def test_api_key_is_kept_and_only_its_end_is_shown(fake: Server) -> None:
    body = {"service": "leonardo-api", "api_key": "abcdef-0123-9721"}
    document = fake.post("/api-key", body).json()
    assert document == {
        "message": "API key updated successfully",
        "service": "leonardo-api",
        "key_preview": "************9721",
    }
    assert '"leonardo-api": "abcdef-0123-9721"' in fake.house.keys.read_text("utf-8")
    assert stat.S_IMODE(fake.house.keys.stat().st_mode) == 0o600
    assert "abcdef" not in fake.get("/status").text + fake.log.read_text("utf-8")


@pytest.mark.parametrize("field", ["steps", "guidance", "width", "height"])
def test_a_model_without_limits_of_its_own_keeps_the_contracts(fake: Server, field: str) -> None:
    names = {"steps": "num_inference_steps", "guidance": "guidance_scale"}
    good: dict[str, list[float]] = {"steps": [15, 50], "guidance": [1, 20], "width": [64, 1024], "height": [64, 1024]}
    bad: dict[str, list[float]] = {
        "steps": [14, 51],
        "guidance": [0.99, 20.01],
        "width": [56, 500, 1032],
        "height": [56, 500, 1032],
    }
    name = names.get(field, field)
    for value in good[field]:
        assert fake.draw("limits", **{"width": 64, "height": 64, name: value}).status_code == 200, value
    for value in bad[field]:
        details = error_of(fake.draw("limits", **{name: value}), 400, "VALIDATION_ERROR")["details"]
        assert details["field"] == name and details["issue"]


def test_a_model_with_limits_of_its_own_keeps_those(fake: Server) -> None:
    fits = {"model": "fake-few-steps", "num_inference_steps": 1, "guidance_scale": 1, "width": 2048, "height": 1024}
    assert fake.draw("limits", **fits).status_code == 200
    for name, value in {"num_inference_steps": 15, "guidance_scale": 7.5, "width": 520, "height": 1088}.items():
        details = error_of(fake.draw("limits", **{**fits, name: value}), 400, "VALIDATION_ERROR")["details"]
        assert details["field"] == name


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


def test_the_openapi_document_describes_every_route_and_every_error(fake: Server) -> None:
    document = fake.get("/openapi.json").json()
    routes = {"/", "/status", "/generate", "/load_model", "/models", "/gallery", "/api-key", "/plugins", "/health"}
    assert routes | {"/jobs", "/jobs/{job_id}", "/images/{image_id}"} <= set(document["paths"])
    generate = document["paths"]["/generate"]["post"]["responses"]
    assert {"200", "400", "401", "404", "429", "500", "503"} <= set(generate) and "422" not in generate
    examples = {
        name for answer in generate.values() for name in answer["content"]["application/json"].get("examples", {})
    }
    assert {"VALIDATION_ERROR", "MODEL_NOT_AVAILABLE", "INSUFFICIENT_VRAM", "LEONARDO_API_ERROR"} <= examples
    assert document["info"]["version"] == "1.0.0"


def test_the_kept_contract_is_the_one_that_was_agreed() -> None:
    agreed = Path(__file__).parents[2] / "shared" / "reference" / "api-contract.md"
    kept = Path(__file__).parents[1] / "docs" / "api-contract.md"
    assert "POST `/generate`" in kept.read_text("utf-8")
    if agreed.exists():
        assert kept.read_bytes() == agreed.read_bytes()

"""docs/api-contract.md, route by route and field by field, on a server whose engine draws one colour."""

from __future__ import annotations

import base64
import io
import stat
from pathlib import Path
from typing import Any

import pytest
from harness import Server, error_of
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

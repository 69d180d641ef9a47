"""What programs send that do not run in every test, byte for byte as their sources have it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from harness import Server
from PIL import Image
from sillytavern import PASSWORD, sillytavern

BASIC = {"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(b"me:x").decode()}
EMPTY_BASIC = {"Content-Type": "application/json", "Authorization": "Basic "}


def sent(server: Server, path: str, body: object, headers: Mapping[str, str] | None = None) -> Any:
    """POST a body as these bytes, with these headers and no others of meaning; answer the JSON of a 200."""
    status, content = server.raw("POST", f"/sdapi/v1/{path}", json.dumps(body), headers)
    assert status == 200, content
    return json.loads(content)


def got(server: Server, path: str, headers: Mapping[str, str] | None = None) -> Any:
    """GET with these headers; answer the JSON of a 200."""
    status, content = server.raw("GET", f"/sdapi/v1/{path}", headers=headers)
    assert status == 200, content
    return json.loads(content)


def image_of(answer: Any, number: int = 0) -> Image.Image:
    """The image, by the bare base64 that clients decode as it is."""
    return Image.open(io.BytesIO(base64.b64decode(answer["images"][number], validate=True)))


def data_url() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("authorization", ["", "Basic "])
def test_open_webui_checks_selects_and_draws(a1111: Server, authorization: str) -> None:
    headers = {"authorization": authorization, "Content-Type": "application/json"}
    options, models = got(a1111, "options", headers), got(a1111, "sd-models", headers)
    assert {"title", "model_name"} <= set(models[0])
    wanted = {**options, "sd_model_checkpoint": models[1]["title"]}
    sent(a1111, "options", wanted, headers)
    try:
        body = {"prompt": "a leaf", "batch_size": 1, "width": 512, "height": 512, "steps": 50, "negative_prompt": "x"}
        answer = sent(a1111, "txt2img", body, headers)
        assert json.loads(answer["info"])["sd_model_name"] == models[1]["title"]
        assert image_of(answer).size == (512, 512)
    finally:
        sent(a1111, "options", options, headers)


def test_sillytavern_draws_and_its_password_is_kept_nowhere(a1111: Server) -> None:
    for path in ("options", "samplers", "schedulers", "sd-models", "upscalers", "latent-upscale-modes", "sd-vae"):
        got(a1111, path, EMPTY_BASIC)
    assert "forge_preset" not in a1111.get("/sdapi/v1/options").json()
    answer = sent(a1111, "txt2img", sillytavern(), BASIC)
    info = json.loads(answer["info"])
    assert (info["seed"], info["clip_skip"], info["sampler_name"], info["warnings"]) == (11, 2, "DPM++ 2M", [])
    assert PASSWORD not in json.dumps(answer) and PASSWORD not in a1111.log.read_text("utf-8")
    assert all(
        PASSWORD.encode() not in file.read_bytes() for file in a1111.house.folder.rglob("data/**/*") if file.is_file()
    )
    assert PASSWORD not in image_of(answer).info["visioncraft"]


def test_sillytavern_draws_in_two_passes(a1111: Server) -> None:
    body = sillytavern(enable_hr=True, hr_scale=1.5, alwayson_scripts={"ADetailer": {"args": [True, {}]}})
    info = json.loads(sent(a1111, "txt2img", body, BASIC)["info"])
    assert info["denoising_strength"] == 0.7 and info["warnings"] == ["the script 'ADetailer' is not here"]


def test_sillytaverns_source_for_stable_diffusion_cpp_names_the_model_in_the_body(a1111: Server) -> None:
    body = {"model": "fake-few-steps", "prompt": "a stone", "width": 64, "height": 64, "steps": 3, "seed": -1}
    assert json.loads(sent(a1111, "txt2img", body, {"Content-Type": "application/json"})["info"])["steps"] == 3


def test_draw_things_finds_the_root_as_the_contract_has_it(a1111: Server) -> None:
    assert a1111.client.head("/").status_code == 200
    assert set(a1111.get("/").json()) == {"message", "status", "version"}
    body = {"prompt": "a hill", "negative_prompt": "", "sampler_name": None, "steps": 20, "width": 64, "height": 64}
    assert image_of(sent(a1111, "txt2img", {**body, "auth": f"me:{PASSWORD}", "url": "x"})).size == (64, 64)


def test_dify_posts_text_without_a_content_type_and_selects_by_name(a1111: Server) -> None:
    names = [each["model_name"] for each in a1111.get("/sdapi/v1/sd-models").json()]
    body = {
        "prompt": "a boat",
        "negative_prompt": "",
        "sampler_name": "Euler a",
        "seed": -1,
        "steps": 20,
        "cfg_scale": 7.0,
        "width": 64,
        "height": 64,
        "override_settings": {"sd_model_checkpoint": names[0]},
    }
    assert json.loads(sent(a1111, "txt2img", body)["info"])["sd_model_name"] == names[0]


def test_librechat_reads_its_image_seed_and_text(a1111: Server) -> None:
    body = {
        "prompt": "detailed keywords",
        "negative_prompt": "blurry",
        "cfg_scale": 4.5,
        "steps": 22,
        "width": 1024,
        "height": 1024,
    }
    answer = sent(a1111, "txt2img", body, {"Content-Type": "application/json"})
    assert answer["images"][0].split(",", 1)[0] == answer["images"][0]
    info = json.loads(answer["info"])
    assert info["infotexts"][0].startswith("detailed keywords") and (info["width"], info["height"]) == (1024, 1024)
    assert isinstance(info["seed"], int)


def test_ai_render_draws_over_a_rendering_and_enlarges_it(a1111: Server) -> None:
    body = {
        "prompt": "a castle",
        "negative_prompt": "ugly",
        "width": 64,
        "height": 64,
        "init_images": [data_url()],
        "denoising_strength": 0.4,
        "cfg_scale": 7,
        "steps": 30,
        "sampler_index": "DPM++ 2M",
        "seed": 3,
    }
    assert image_of(sent(a1111, "img2img", body)).size == (64, 64)
    large = sent(a1111, "extra-single-image", {"upscaling_resize": 2, "upscaler_1": "Lanczos", "image": data_url()})
    assert Image.open(io.BytesIO(base64.b64decode(large["image"]))).size == (128, 128)
    refused = a1111.post("/sdapi/v1/img2img", {**body, "sampler_index": "Unheard of"})
    assert (refused.status_code, refused.json()["detail"]) == (404, "Sampler not found")
    assert a1111.post("/sdapi/v1/nothing", {}).json()["detail"] == "Not Found"


def test_aiyabot_sends_null_and_halves_and_reads_each_image_back(a1111: Server) -> None:
    lists = ("samplers", "prompt-styles", "face-restorers", "embeddings", "hypernetworks", "upscalers", "sd-models")
    assert all(a1111.get(f"/sdapi/v1/{name}").status_code == 200 for name in (*lists, "loras", "cmd-flags", "options"))
    body = {
        "prompt": "a dog",
        "negative_prompt": "",
        "steps": 25.0,
        "width": 64,
        "height": 64.0,
        "cfg_scale": "7.0",
        "sampler_index": "Euler a",
        "seed": 5,
        "seed_resize_from_h": -1,
        "seed_resize_from_w": -1,
        "denoising_strength": None,
        "n_iter": 1,
        "enable_hr": True,
        "hr_upscaler": "Lanczos",
        "hr_scale": 1,
        "hr_second_pass_steps": 12.5,
        "styles": ["None"],
        "restore_faces": None,
        "override_settings": None,
        "unheard_of": {"deep": [None]},
    }
    answer = sent(a1111, "txt2img", body)
    read = sent(a1111, "png-info", {"image": "data:image/png;base64," + answer["images"][0]})
    assert isinstance(read["info"], str) and "Seed: 5" in read["info"]
    state = a1111.get("/sdapi/v1/progress").json()["state"]
    assert state["job"] == ""
    assert sent(a1111, "interrupt", {}) == {} and sent(a1111, "skip", None) == {}


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000, b'{"steps": 1e999}', b'{"steps": {}}'])
def test_a_body_that_is_none_is_refused_and_not_with_422(a1111: Server, content: bytes) -> None:
    answer = a1111.client.post("/sdapi/v1/txt2img", content=content)
    assert answer.status_code == 400 and set(answer.json()) == {"error", "detail", "body", "errors"}

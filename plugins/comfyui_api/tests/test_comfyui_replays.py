"""What Open WebUI 0.12, SillyTavern 1.19 and Dify send, as their sources have it, and what each reads."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import urlencode

import httpx
from dialect_kit import TOKEN, png
from graphs import image_to_image, node, text_to_image
from harness import Server
from visioncraft.testing import PATIENCE_S
from websockets.sync.client import ClientConnection, connect


def raw(comfy: httpx.Client, method: str, path: str, body: bytes = b"", /, **headers: str) -> httpx.Response:
    """A request with these headers and no others of a client's making."""
    return httpx.request(method, comfy.base_url.join(path), content=body, headers=headers, timeout=PATIENCE_S)


def listening(comfy: httpx.Client, client_id: str, headers: dict[str, str]) -> ClientConnection:
    """A client's socket."""
    url = f"{str(comfy.base_url).rstrip('/').replace('http://', 'ws://')}/ws?clientId={client_id}"
    return connect(url, additional_headers=headers, open_timeout=PATIENCE_S)


def test_open_webui_checks_lists_and_draws(comfy: httpx.Client) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    info = raw(comfy, "GET", "/object_info", **bearer).json()
    required = info["CheckpointLoaderSimple"]["input"]["required"]
    models = next(required[key][0] for key in required if "_name" in key)
    graph = text_to_image("for open webui")
    graph["4"]["inputs"]["ckpt_name"] = models[0]
    images = _drawn_by_open_webui(comfy, graph, bearer)
    assert [each.headers["content-type"] for each in images] == ["image/png"]


def test_open_webui_edits(comfy: httpx.Client) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    files = {"image": ("uploaded.png", png("teal"), "image/png")}
    url = comfy.base_url.join("/api/upload/image")
    answer = httpx.post(
        url, files=files, data={"type": "input", "overwrite": "true"}, headers=bearer, timeout=PATIENCE_S
    )
    assert answer.status_code == 200
    assert _drawn_by_open_webui(comfy, image_to_image(answer.json()["name"], "teal again"), bearer)


def _drawn_by_open_webui(comfy: httpx.Client, graph: Any, bearer: dict[str, str]) -> list[httpx.Response]:
    client_id = str(uuid.uuid4())
    with listening(comfy, client_id, bearer) as socket:
        body = json.dumps({"prompt": graph, "client_id": client_id}).encode()
        prompt_id = raw(comfy, "POST", "/prompt", body, **bearer).json()["prompt_id"]
        while True:
            out = socket.recv()
            if isinstance(out, str):
                message: dict[str, Any] = json.loads(out)
                data = message["data"]
                if message["type"] == "executing" and data["node"] is None and data["prompt_id"] == prompt_id:
                    break
    history = raw(comfy, "GET", f"/history/{prompt_id}", **bearer).json()[prompt_id]
    images = [image for output in history["outputs"].values() for image in output.get("images", [])]
    return [
        raw(
            comfy, "GET", "/view?" + urlencode({key: image[key] for key in ("filename", "subfolder", "type")}), **bearer
        )
        for image in images
    ]


def test_sillytavern_lists_draws_and_polls(comfy: httpx.Client) -> None:
    basic = {"Authorization": f"Bearer {TOKEN}"}
    assert raw(comfy, "GET", "/system_stats", **basic).status_code == 200
    info = raw(comfy, "GET", "/object_info", **basic).json()
    assert info["KSampler"]["input"]["required"]["sampler_name"][0]
    assert "normal" in info["KSampler"]["input"]["required"]["scheduler"][0]
    assert info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0][0] == "fake"
    assert isinstance(info["UNETLoader"]["input"]["required"]["unet_name"][0], list)
    assert isinstance(info["VAELoader"]["input"]["required"]["vae_name"][0], list)
    body = json.dumps({"prompt": text_to_image("for sillytavern")}).encode()
    plain = {**basic, "Content-Type": "text/plain;charset=UTF-8"}
    prompt_id = raw(comfy, "POST", "/prompt", body, **plain).json()["prompt_id"]
    item = _polled(comfy, prompt_id, basic)
    assert item["status"]["status_str"] != "error"
    image = next(iter(item["outputs"].values()))["images"][0]
    path = f"/view?filename={image['filename']}&subfolder={image['subfolder']}&type={image['type']}"
    assert raw(comfy, "GET", path, **basic).content.startswith(b"\x89PNG")


def test_sillytavern_reads_why_it_failed(comfy: httpx.Client) -> None:
    basic = {"Authorization": f"Bearer {TOKEN}"}
    body = json.dumps({"prompt": text_to_image("fail: vram")}).encode()
    prompt_id = raw(comfy, "POST", "/prompt", body, **basic).json()["prompt_id"]
    item = _polled(comfy, prompt_id, basic)
    assert item["status"]["status_str"] == "error"
    (error,) = [data for kind, data in item["status"]["messages"] if kind == "execution_error"]
    assert {error[key] for key in ("node_type", "node_id", "exception_type")} == {"KSampler", "3", "INSUFFICIENT_VRAM"}
    assert error["exception_message"]


def _polled(comfy: httpx.Client, prompt_id: str, headers: dict[str, str]) -> Any:
    """Ask for history until the prompt is in it, as SillyTavern does ten times a second."""
    while prompt_id not in (found := raw(comfy, "GET", f"/history/{prompt_id}", **headers).json()):
        pass
    return found[prompt_id]


def test_dify_draws_and_finds_its_prompt_in_the_whole_history(comfy: httpx.Client, server: Server) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert "fake" in raw(comfy, "GET", "/models/checkpoints", **bearer).json()
    assert raw(comfy, "GET", "/models/loras", **bearer).json() == []
    assert raw(comfy, "GET", "/object_info/KSampler", **bearer).json()["KSampler"]["input"]["required"]["scheduler"]
    client_id = str(uuid.uuid4())
    with listening(comfy, client_id, bearer) as socket:
        body = json.dumps({"prompt": text_to_image("for dify"), "client_id": client_id}).encode()
        prompt_id = raw(comfy, "POST", "/prompt", body, **bearer).json()["prompt_id"]
        while True:
            out = socket.recv()
            message: dict[str, Any] = json.loads(out) if isinstance(out, str) else {"type": "", "data": {}}
            if message["type"] == "executing" and message["data"]["node"] is None:
                break
    history = raw(comfy, "GET", f"/history?prompt_id={prompt_id}", **bearer).json()[prompt_id]
    assert history["outputs"]["9"]["images"][0]["filename"]


def test_a_graph_with_a_node_of_somebody_elses_is_refused_with_its_name(comfy: httpx.Client) -> None:
    graph = text_to_image()
    graph["30"] = node("UltralyticsDetectorProvider")
    answer = raw(comfy, "POST", "/prompt", json.dumps({"prompt": graph}).encode(), Authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 400 and "UltralyticsDetectorProvider" in answer.text

"""Open WebUI itself, each of its four engines set up through its own API: it draws, and edits where it has a way to.

`make soak` alone runs this: its environment has 2.5 GB (scripts/install-open-webui.sh).
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from dialect_kit import TOKEN, png, serving
from harness import Server, free_port
from PIL import Image
from visioncraft.testing import PATIENCE_S

OPEN_WEBUI = Path(sys.prefix) / "open-webui" / "bin" / "open-webui"
OFFLINE = {
    "OFFLINE_MODE": "true",
    "WEBUI_AUTH": "false",
    "WEBUI_SECRET_KEY": "of-a-test",
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
    "ENABLE_OLLAMA_API": "false",
    "ENABLE_OPENAI_API": "false",
}
PLUGINS = ("openai_api", "a1111_api", "comfyui_api", "gemini_api")
ENGINES = ("openai", "automatic1111", "comfyui", "gemini")
NODES = [
    {"type": kind, "key": key, "node_ids": [node]}
    for kind, key, node in (
        ("prompt", "text", "6"),
        ("model", "ckpt_name", "4"),
        ("width", "width", "5"),
        ("height", "height", "5"),
        ("steps", "steps", "3"),
        ("seed", "seed", "3"),
    )
]
"""Where in Open WebUI's own workflow for ComfyUI its fields go, as its page of settings asks."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served"), *PLUGINS) as server:
        yield server


@pytest.fixture(scope="module")
def webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Open WebUI with an empty database, signed in."""
    folder, port = tmp_path_factory.mktemp("webui"), free_port()
    env = {**os.environ, **OFFLINE, "DATA_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        command = [str(OPEN_WEBUI), "serve", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
        try:
            while not _is_up(client):
                assert process.poll() is None, (folder / "log").read_text("utf-8")
            answer = client.post("/api/v1/auths/signin", json={"email": "admin@localhost", "password": "admin"})
            client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
            yield client
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _settings(server: Server, engine: str) -> dict[str, Any]:
    """What people type into the page of settings, for one engine."""
    shared = {
        "ENABLE_IMAGE_GENERATION": True,
        "IMAGE_GENERATION_ENGINE": engine,
        "IMAGE_GENERATION_MODEL": "fake",
        "IMAGE_SIZE": "256x256",
        "IMAGE_STEPS": 15,
        "ENABLE_IMAGE_EDIT": True,
        "IMAGE_EDIT_ENGINE": "openai" if engine == "automatic1111" else engine,
        "IMAGE_EDIT_MODEL": "fake",
    }
    bases = {"OPENAI": f"{server.url}/v1", "GEMINI": f"{server.url}/v1beta"}
    keys = {f"IMAGES_{edit}{name}_API_KEY": TOKEN for name in bases for edit in ("", "EDIT_")}
    urls = {f"IMAGES_{edit}{name}_API_BASE_URL": url for name, url in bases.items() for edit in ("", "EDIT_")}
    a1111 = {"AUTOMATIC1111_BASE_URL": server.url, "AUTOMATIC1111_API_AUTH": f"anybody:{TOKEN}"}
    comfyui = {
        "COMFYUI_BASE_URL": server.url_of("comfyui_api"),
        "COMFYUI_API_KEY": TOKEN,
        "COMFYUI_WORKFLOW_NODES": NODES,
    }
    return {**shared, **keys, **urls, **a1111, **comfyui}


@pytest.mark.parametrize("engine", ENGINES)
def test_it_draws_with_each_engine(server: Server, webui: httpx.Client, engine: str) -> None:
    _set_up(server, webui, engine)
    answer = webui.post("/api/v1/images/generations", json={"prompt": f"apple of {engine}", "n": 1})
    assert answer.status_code == 200, answer.text
    (drawn,) = answer.json()
    assert Image.open(BytesIO(webui.get(drawn["url"]).content)).format == "PNG"
    assert server.get("/gallery?limit=1&image_data=false").json()["images"][0]["prompt"] == f"apple of {engine}"


@pytest.mark.parametrize("engine", ["openai", "gemini"])
def test_it_edits_with_the_engines_that_need_no_workflow(server: Server, webui: httpx.Client, engine: str) -> None:
    _set_up(server, webui, engine)
    image = f"data:image/png;base64,{base64.b64encode(png('blue', 128, 64)).decode()}"
    answer = webui.post("/api/v1/images/edit", json={"image": image, "prompt": f"green by {engine}"})
    assert answer.status_code == 200, answer.text
    assert server.get("/gallery?limit=1&image_data=false").json()["images"][0]["prompt"] == f"green by {engine}"


def _set_up(server: Server, webui: httpx.Client, engine: str) -> None:
    known = webui.get("/api/v1/images/config").json()
    answer = webui.post("/api/v1/images/config/update", json={**known, **_settings(server, engine)})
    assert answer.status_code == 200, answer.text

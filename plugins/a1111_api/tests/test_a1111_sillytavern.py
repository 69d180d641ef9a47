"""SillyTavern itself, asked as its own page asks it: `make soak` alone, which installs it (62 MB from npm)."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import ROOT, Server, free_port
from PIL import Image
from sillytavern import PASSWORD, sillytavern
from visioncraft.testing import PATIENCE_S

PROGRAM = ROOT / ".venv" / "sillytavern" / "node_modules" / "sillytavern"


@pytest.fixture(scope="module")
def tavern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """SillyTavern's server, with data of its own."""
    folder, port = tmp_path_factory.mktemp("sillytavern"), free_port()
    options = ["--disableCsrf", "--listen", "false", "--browserLaunchEnabled", "false", "--dataRoot", str(folder)]
    command = ["node", "server.js", "--port", str(port), "--configPath", str(folder / "config.yaml"), *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROGRAM, stdout=log, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            _wait_until_ready(client, process, folder / "log")
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        try:
            client.get("/")
        except httpx.TransportError:
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    raise AssertionError(f"SillyTavern ended with {process.returncode}:\n{log.read_text('utf-8')}")


def asked(tavern: httpx.Client, a1111: Server, what: str, **further: Any) -> httpx.Response:
    """What its page sends for a source of the kind "Stable Diffusion Web UI"."""
    return tavern.post(f"/api/sd/{what}", json={"url": a1111.url, "auth": "", **further})


def test_it_finds_everything_that_its_page_shows(tavern: httpx.Client, a1111: Server) -> None:
    assert asked(tavern, a1111, "ping").status_code == 200
    assert "Euler a" in asked(tavern, a1111, "samplers").json()
    assert "karras" in asked(tavern, a1111, "schedulers").json()
    assert asked(tavern, a1111, "upscalers").json() == ["None", "Latent", "Lanczos"]
    assert asked(tavern, a1111, "vaes").json() == []
    assert {"value": "fake", "text": "fake"} in asked(tavern, a1111, "models").json()
    assert asked(tavern, a1111, "sd-next/upscalers").status_code == 200


def test_it_selects_a_model_and_draws(tavern: httpx.Client, a1111: Server) -> None:
    assert asked(tavern, a1111, "set-model", model="fake").status_code == 200
    assert asked(tavern, a1111, "get-model").text == "fake"
    answer = tavern.post("/api/sd/generate", json=sillytavern(url=a1111.url))
    assert answer.status_code == 200
    drawn = Image.open(BytesIO(base64.b64decode(answer.json()["images"][0])))
    assert drawn.size == (64, 64)
    assert PASSWORD not in a1111.log.read_text("utf-8")


def test_an_error_reaches_it(tavern: httpx.Client, a1111: Server) -> None:
    refused = tavern.post("/api/sd/generate", json=sillytavern(url=a1111.url, sampler_name="Unheard of"))
    assert refused.status_code == 500


def test_a_page_that_is_closed_stops_its_image(tavern: httpx.Client, a1111: Server) -> None:
    before = a1111.pictures()
    body = sillytavern(url=a1111.url, prompt="gated tavern")
    a1111.permit("tavern", 1)
    headers = {"Content-Type": "application/json"}
    with closing(HTTPConnection(tavern.base_url.host, tavern.base_url.port)) as page:
        page.request("POST", "/api/sd/generate", json.dumps(body), headers)
        a1111.reached("tavern", 1)
    while a1111.get("/sdapi/v1/progress").json()["textinfo"] not in ("cancelling", None):
        pass
    a1111.permit("tavern", 40)
    assert a1111.pictures() == before
    assert tavern.post("/api/sd/generate", json=sillytavern(url=a1111.url)).status_code == 200

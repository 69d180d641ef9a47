"""The contract's own examples, unchanged but for the port.

The first draws with the embedded model. The others show what a program does with an answer; in `make soak` they have
that model draw it too, which takes 30 seconds of a processor, and the fake engine otherwise.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from harness import ROOT, Server, addressed
from markdown_it import MarkdownIt
from PIL import Image
from playwright.sync_api import Browser
from standin import StandIn


def examples(language: str) -> list[str]:
    """The contract's fenced examples of a language, from its last chapter."""
    text = (ROOT / "docs" / "api-contract.md").read_text("utf-8").split("\n## Examples\n")[1]
    return [block.content for block in MarkdownIt().parse(text) if block.type == "fence" and block.info == language]


def test_the_contract_has_the_examples_that_run_here() -> None:
    assert [len(examples(language)) for language in ("bash", "python", "javascript")] == [2, 1, 1]


def curl(example: str, server: Server) -> bytes:
    outcome = subprocess.run(["bash", "-c", addressed(example, server)], capture_output=True)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_the_first_curl_example_draws_a_picture(real: Server) -> None:
    document = json.loads(curl(examples("bash")[0], real))
    picture = Image.open(io.BytesIO(base64.b64decode(document["image"], validate=True)))
    assert (picture.format, picture.size) == ("PNG", (512, 512))
    assert len(picture.getcolors(512 * 512) or []) > 1000, "a drawing has more colours"
    assert document["parameters"]["prompt"] == "A serene mountain landscape at sunrise"


def test_the_leonardo_example_draws_a_picture_of_the_asked_shape(real: Server, leonardo: StandIn) -> None:
    before = len(leonardo.orders)
    document = json.loads(curl(examples("bash")[1], real))
    picture = Image.open(io.BytesIO(base64.b64decode(document["image"], validate=True)))
    assert (picture.format, picture.size, document["model"]) == ("PNG", (1344, 768), "leonardo-api")
    assert document["parameters"]["prompt"] == "A futuristic city with flying cars"
    (sent,) = leonardo.orders[before:]
    assert (sent["modelId"], sent["alchemy"]) == ("de7d3faf-762f-48e0-b3b7-9d0ac3a3fcf3", True)
    assert sent["styleUUID"] == "a5632c7c-ddbb-4e2f-ba34-8456ab3ac436", "cinematic"


@pytest.fixture
def drawing(request: pytest.FixtureRequest) -> Server:
    """A server that draws what an example asks for."""
    server: Server = request.getfixturevalue("real" if "VISIONCRAFT_SOAK" in os.environ else "fake")
    return server


def test_the_python_example_saves_its_picture(drawing: Server, tmp_path: Path) -> None:
    script = addressed(examples("python")[0], drawing)
    outcome = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("Generated in ")
    assert Image.open(tmp_path / "generated_image.png").size == (768, 768)


@pytest.fixture
def script_page(drawing: Server) -> Iterator[str]:
    """A page on another port of localhost whose only script is the contract's example; answers its URL."""
    script = addressed(examples("javascript")[0], drawing)
    document = f"<!doctype html><body><script>{script}</script></body>".encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(document)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://localhost:{site.server_port}/"
        site.shutdown()


def test_the_javascript_example_shows_its_picture_in_a_browser(browser: Browser, script_page: str) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(script_page)
    page.locator("body > img").wait_for(timeout=0)  # pytest's timeout ends what never comes
    size = page.locator("body > img").evaluate("async img => { await img.decode(); return img.naturalWidth }")
    page.close()
    assert size == 512
    assert any(line.startswith("Generated in ") for line in said), said


def test_the_embedded_model_draws_the_same_picture_from_the_same_seed(real: Server) -> None:
    answer = real.draw("a red apple", model="visioncraft-mini", width=256, height=256, seed=7).json()
    again = real.draw("a red apple", model="visioncraft-mini", width=256, height=256, seed=7).json()
    assert (answer["model"], answer["seed"]) == ("visioncraft-mini", 7)
    pixels = [Image.open(io.BytesIO(base64.b64decode(each["image"]))).tobytes() for each in (answer, again)]
    assert pixels[0] == pixels[1]

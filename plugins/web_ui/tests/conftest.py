"""A server with the page and an engine that draws at once, and a browser that tells of every error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from visioncraft.testing import House, Server, served

sys.path.insert(0, str(Path(__file__).parent / "support"))

from tabs import PATIENCE_MS, TOKEN, Opener, Tab

ROOT = Path(__file__).parents[3]
expect.set_options(timeout=PATIENCE_MS)


def house(folder: Path, env: dict[str, str] | None = None) -> House:
    """The page, the gallery on disk, the tests' engine, and one whose parameter the page has never heard of."""
    plugins = {"enabled": ["fake_engine", "gallery_fs", "palette", "web_ui"], "trusted": ["fake_engine", "palette"]}
    path = [ROOT / "tests" / "support", ROOT / "examples" / "visioncraft-palette"]
    made = House(folder, {"plugins": plugins, "": {"default_model": "fake"}}, env or {}, path=path)
    made.install("visioncraft-fake-engine", "fake_engine")
    made.install("visioncraft-palette", "palette", (path[1] / "visioncraft_palette.py").read_text("utf-8"))
    return made


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets everybody in."""
    with served(house(tmp_path_factory.mktemp("studio"))) as server:
        yield server


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a token."""
    with served(house(tmp_path_factory.mktemp("guarded"), {"VISIONCRAFT_TOKEN": TOKEN})) as server:
        yield server


@pytest.fixture(scope="module")  # it keeps a loop in this thread, and other modules run loops of their own
def browser() -> Iterator[Browser]:
    """A Chromium without a window; scripts/install-browser.sh puts it in place."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("no chromium is installed: run scripts/install-browser.sh")
    switches = ["--disable-gpu", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, chromium_sandbox=False, args=switches)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Opener]:
    """Opens tabs of a browser of its own; what their consoles say of errors fails the test."""
    opener = Opener(browser)
    yield opener
    opener.close()


@pytest.fixture
def tab(visit: Opener, studio: Server) -> Tab:
    """The page, open."""
    return visit(studio)


@pytest.fixture(scope="session")
def png(studio: Server) -> str:
    """An image as base64."""
    return str(studio.draw("a file", width=64, height=64, num_inference_steps=15).json()["image"])

"""Servers that the whole-system tests share."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "leonardo" / "tests" / "support"))

from harness import House, Server, fake_house, served
from packaging_kit import Wheelhouse, build_everything
from processes import Together, begin_with_longest, check
from standin import KEY, StandIn
from standin_http import standing_in

_KEY = "the-key-that-stays"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """How several processes share the tests: file by file as they were collected, not by their number of tests."""
    config.option.loadscopereorder = False
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing that there is one of is used by two processes, and what takes longest comes first."""
    check(items)
    begin_with_longest(items)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty house: the fake engine and the gallery on disk, nothing running."""
    return fake_house(tmp_path)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose engine draws at once, one for each test module."""
    with served(fake_house(tmp_path_factory.mktemp("fake"))) as server:
        yield server


@pytest.fixture(scope="session")
def leonardo() -> Iterator[StandIn]:
    """What stands in for Leonardo.ai, which costs money."""
    with standing_in(StandIn()) as standin:
        yield standin


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, leonardo: StandIn) -> Iterator[Server]:
    """The server as `make run` has it, all plugins real, on a port of its own: 8000 may be somebody's server."""
    folder = tmp_path_factory.mktemp("real")
    env = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "LEONARDO_API_KEY": KEY}
    cloud = {"base_url": leonardo.base_url, "private_hosts": ["127.0.0.1"], "poll_s": 0.1}
    tables: dict[str, Mapping[str, Any]] = {
        "plugins.config.leonardo": cloud,
        "server": {"dialect_ports": "free"},
    }
    with served(House(folder, tables, env)) as server:
        yield server


@pytest.fixture(scope="module")
def _served_on(fake: Server) -> Iterator[None]:
    """There is a key, and after all that a module sends a picture is drawn."""
    assert fake.post("/api-key", {"service": "leonardo-api", "api_key": _KEY}).status_code == 200
    yield
    _draw_and_delete(fake)


@pytest.fixture
def unharmed(fake: Server, _served_on: None) -> Iterator[None]:
    """Afterwards the gallery and the keys are as they were, and the next request is served.

    In the long form of `make soak` that is a picture after each test, else one after each module.
    """
    pictures = fake.pictures()
    yield
    assert fake.pictures() == pictures
    assert json.loads(fake.house.keys.read_text("utf-8")) == {"leonardo-api": _KEY}
    if "VISIONCRAFT_SOAK" in os.environ:
        _draw_and_delete(fake)


def _draw_and_delete(server: Server) -> None:
    answer = server.draw("the next request", width=64, height=64)
    assert answer.status_code == 200
    assert server.delete(f"/images/{answer.headers['x-image-id']}").status_code == 204


@pytest.fixture(scope="module")  # it keeps a loop in this thread, and other modules run loops of their own
def browser() -> Iterator[Browser]:
    """A Chromium without a window; scripts/install-browser.sh puts it in place."""
    found = (
        shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    )
    path = next((name for name in found if name), None)
    if path is None:
        pytest.fail("no chromium is installed: run scripts/install-browser.sh")
    switches = ["--disable-gpu", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, chromium_sandbox=False, args=switches)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Wheelhouse:
    """Wheels and sdists of everything, built once."""
    return build_everything(tmp_path_factory.mktemp("wheelhouse"))

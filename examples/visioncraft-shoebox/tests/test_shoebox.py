"""Shoebox, by the contract that every gallery keeps, and behind the API."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from visioncraft import Generator, Settings, hookimpl
from visioncraft.testing import FakeGenerator, ImageStoreContract

from visioncraft_shoebox import plugin


class TestShoebox(ImageStoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], plugin.Shoebox]:
        return lambda: plugin.Shoebox(tmp_path / "pictures")


class WithAnEngine:
    """The plugin beside something that draws."""

    @hookimpl
    def visioncraft_stores(self, settings: Settings) -> Any:
        return plugin.visioncraft_stores(settings)

    @hookimpl
    def visioncraft_generators(self) -> Sequence[Generator]:
        return [FakeGenerator()]


def test_the_api_keeps_its_pictures_there(visioncraft_client: Callable[..., Any], tmp_path: Path) -> None:
    client = visioncraft_client(WithAnEngine(), "shoebox", storage={"backend": "shoebox"})
    drawn = client.post("/generate", json={"prompt": "the sea", "width": 64, "height": 64})
    assert drawn.status_code == 200
    assert client.get("/gallery").json()["total_count"] == 1
    assert len(list((tmp_path / "data" / "shoebox").glob("*.png"))) == 1

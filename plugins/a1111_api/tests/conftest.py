"""One server with the fake engine for all tests, and the client that most scripts for AUTOMATIC1111 use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from webuiapi import WebUIApi

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parent / "support"))

from a1111_houses import a1111_house
from harness import Server, served

collect_ignore = [] if os.environ.get("VISIONCRAFT_SOAK") else ["test_a1111_sillytavern.py"]


@pytest.fixture(scope="session")
def a1111(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(a1111_house(tmp_path_factory.mktemp("a1111"))) as server:
        yield server


@pytest.fixture(scope="session")
def webui(a1111: Server) -> WebUIApi:
    """The client as its users make it, but for the address."""
    return WebUIApi(host="127.0.0.1", port=a1111.port, steps=15)


@pytest.fixture(scope="session")
def apple() -> Image.Image:
    """An image of 128x64, red on the left and blue on the right."""
    image = Image.new("RGB", (128, 64), "red")
    image.paste("blue", (64, 0, 128, 64))
    return image

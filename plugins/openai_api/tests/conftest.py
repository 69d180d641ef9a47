"""One server with the fake engine for all tests of a file, and clients that are its users' own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from openai import OpenAI
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parent / "support"))

from harness import Server, served
from openai_house import openai_house

collect_ignore = [] if os.environ.get("VISIONCRAFT_SOAK") else ["test_openai_soak.py"]


@pytest.fixture(scope="session")
def openai_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(openai_house(tmp_path_factory.mktemp("openai"))) as server:
        yield server


@pytest.fixture(scope="session")
def client(openai_server: Server) -> Iterator[OpenAI]:
    """The client as its users make it, but for the address."""
    with OpenAI(base_url=f"{openai_server.url}/v1", api_key="unused") as client:
        yield client


@pytest.fixture(scope="session")
def apple() -> bytes:
    """The file of an image, 128x64."""
    buffer = BytesIO()
    Image.new("RGB", (128, 64), "red").save(buffer, "PNG")
    return buffer.getvalue()

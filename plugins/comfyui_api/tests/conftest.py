"""One server with the fake engine for all tests of the package."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from visioncraft.testing import PATIENCE_S

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parent / "support"))

from dialect_kit import serving
from harness import Server

collect_ignore = [] if os.environ.get("VISIONCRAFT_SOAK") else ["test_comfyui_soak.py"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("comfyui"), "comfyui_api") as server:
        yield server


@pytest.fixture(scope="session")
def comfy(server: Server) -> Iterator[httpx.Client]:
    """A client of ComfyUI's port that has the token."""
    url = server.url_of("comfyui_api")
    with httpx.Client(base_url=url, headers=server.client.headers, timeout=PATIENCE_S) as client:
        yield client

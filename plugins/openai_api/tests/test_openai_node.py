"""JavaScript clients with nothing changed but their address: npm `openai`, and `ai` with two of its providers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Server

SUPPORT = Path(__file__).parent / "support"
MODULES = Path(sys.prefix) / "node" / "node_modules"


def run(script: str, server: Server, apple: Path, *arguments: str) -> dict[str, Any]:
    """Run a client's script; answers what it found."""
    outcome = subprocess.run(
        ["node", str(SUPPORT / script), server.url, str(apple), *arguments],
        env={"NODE_PATH": str(MODULES), "PATH": "/usr/local/bin:/usr/bin:/bin", "AI_SDK_LOG_WARNINGS": "false"},
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0, f"{outcome.stderr}\nis it installed? scripts/install-node-clients.sh"
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


@pytest.fixture
def file(tmp_path: Path, apple: bytes) -> Path:
    path = tmp_path / "apple.png"
    path.write_bytes(apple)
    return path


def times_asked(server: Server, prompt: str) -> int:
    return [each["prompt"] for each in server.get("/fake/seen").json()].count(prompt)


def test_openai_for_node_draws_edits_streams_is_refused_gives_up_and_waits(openai_server: Server, file: Path) -> None:
    before = times_asked(openai_server, "fail: upstream")
    found = run("openai_client.cjs", openai_server, file)
    assert found["drawn"]["size"] == "128x64" and found["drawn"]["images"] == ["iVBORw0K"] * 2
    assert found["drawn"]["usage"]["total_tokens"] == 0
    assert found["edited"] == {"size": "128x64", "model": "fake"}
    assert found["streamed"] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert (found["wrong"]["status"], found["wrong"]["param"]) == (400, "size")
    assert found["failed"]["status"] == 500 and "hunter2" not in found["failed"]["message"]
    assert found["paid"]["status"] == 424 and "Check available models" in found["paid"]["message"]
    assert found["timesPaid"] - before == 1
    assert found["givenUp"] == "cancelled"
    assert found["full"]["status"] == 429 and 1 <= found["full"]["wait"] <= 60
    assert found["timesServed"] == 1
    assert found["models"][0] == "fake"


@pytest.mark.parametrize("provider", ["openai", "visioncraft"])
def test_the_ai_sdk_draws_edits_is_refused_gives_up_and_waits(openai_server: Server, file: Path, provider: str) -> None:
    before = times_asked(openai_server, "fail: upstream")
    found = run("ai_sdk.cjs", openai_server, file, provider)
    assert found["drawn"] == ["image/png"] * 2 and found["edited"] == 1
    assert found["wrong"]["status"] == 400 and "'size'" in found["wrong"]["message"]
    assert found["failed"]["status"] == 503
    assert found["paid"]["status"] == 424  # it asks again after 502, whatever the answer says
    assert found["timesPaid"] - before == 1
    assert found["givenUp"] == "cancelled"
    assert found["full"]["status"] == 429 and 1 <= found["full"]["wait"] <= 60
    assert found["timesServed"] == 1

"""LangChain and litellm, which are too large for every run: collected with VISIONCRAFT_SOAK=1 (`make soak`) alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Server

PYTHON = Path(sys.prefix) / "soak-clients" / "bin" / "python"
SCRIPT = Path(__file__).parent / "support" / "soak_clients.py"
CLIENTS = pytest.mark.parametrize("client", ["langchain", "litellm"])
PNG = b"\x89PNG".hex()


def begin(client: str, server: Server, image: Path, prompt: str) -> subprocess.Popen[str]:
    assert PYTHON.exists(), "run scripts/install-soak-clients.sh"
    command = [str(PYTHON), "-W", "ignore", str(SCRIPT), client, server.url, str(image), prompt]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(client: str, server: Server, image: Path, prompt: str) -> dict[str, Any]:
    output, errors = begin(client, server, image, prompt).communicate()
    assert output, errors
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


@pytest.fixture
def file(tmp_path: Path, apple: bytes) -> Path:
    path = tmp_path / "apple.png"
    path.write_bytes(apple)
    return path


@CLIENTS
def test_it_draws(openai_server: Server, file: Path, client: str) -> None:
    assert run(client, openai_server, file, "apple") == {"drawn": [PNG, PNG]}


@CLIENTS
def test_what_it_asks_wrongly_it_is_told(openai_server: Server, file: Path, client: str) -> None:
    refused = run(client, openai_server, file, "apple\x07")
    assert refused["status"] == 400 and "control character" in refused["message"], refused


@CLIENTS
def test_what_may_have_been_paid_for_is_asked_for_once(openai_server: Server, file: Path, client: str) -> None:
    def times() -> int:
        return [each["prompt"] for each in openai_server.get("/fake/seen").json()].count("fail: upstream")

    before = times()
    assert "Check available models" in run(client, openai_server, file, "fail: upstream")["message"]
    assert times() - before == 1


@CLIENTS
def test_its_end_frees_the_queue(openai_server: Server, file: Path, client: str) -> None:
    gate = f"soak-{client}"
    openai_server.permit(gate, 1)
    process = begin(client, openai_server, file, f"gated {gate}")
    openai_server.reached(gate, 1)
    [job] = openai_server.get("/jobs?status=running").json()["jobs"]
    process.kill()
    process.communicate()
    openai_server.permit(gate, 100)
    assert openai_server.ended(job["id"])["status"] == "cancelled"


@CLIENTS
def test_a_full_queue_is_told(openai_server: Server, file: Path, client: str) -> None:
    gate = f"soak-full-{client}"
    jobs = [openai_server.submit(f"gated {gate}")]
    openai_server.permit(gate, 1)
    openai_server.reached(gate, 1)
    jobs += [openai_server.submit(f"gated {gate}") for _ in range(2)]
    refused = run(client, openai_server, file, "one too many")
    assert (refused["error"], refused["status"]) == ("RateLimitError", 429)
    openai_server.permit(gate, 1000)
    assert [openai_server.ended(job)["status"] for job in jobs] == ["succeeded"] * 3

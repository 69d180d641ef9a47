"""ComfyUI's two JavaScript clients with nothing changed but their address."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from dialect_kit import TOKEN, jobs_of, png
from graphs import image_to_image, node, text_to_image
from harness import Server
from visioncraft.testing import PATIENCE_S

SUPPORT = Path(__file__).parent / "support"
MODULES = Path(sys.prefix) / "node" / "node_modules"


def run(script: str, server: Server, folder: Path, name: str) -> dict[str, Any]:
    """Run a client's script with graphs of its own; answers what it found."""
    unknown = {**text_to_image(f"never by {name}"), "40": node("ImpactWildcardEncode")}
    graphs = {
        "drawn": text_to_image(f"drawn by {name}"),
        "edited": image_to_image(f"{name}.png", f"edited by {name}"),
        "unknown": unknown,
        "stopped": text_to_image(f"gated {name}"),
        "image": base64.b64encode(png("green")).decode(),
    }
    file = folder / "graphs.json"
    file.write_text(json.dumps(graphs), "utf-8")
    outcome = subprocess.run(
        ["node", str(SUPPORT / script), server.url_of("comfyui_api"), TOKEN, str(file)],
        env={"NODE_PATH": str(MODULES), "PATH": "/usr/local/bin:/usr/bin:/bin", "API": server.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert outcome.returncode == 0, f"{outcome.stderr}\nis it installed? scripts/install-node-clients.sh"
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def test_saintnos_sdk_draws_edits_is_refused_and_interrupts(server: Server, tmp_path: Path) -> None:
    found = run("saintno.cjs", server, tmp_path, "saintno")
    assert "fake" in found["checkpoints"]
    assert found["drawn"]["images"][0]["filename"].startswith("ComfyUI_") and found["bytes"] > 100
    assert found["uploaded"] == "saintno.png" and found["edited"]["images"]
    assert found["unknown"]["error"] == "EnqueueFailedError"
    assert found["unknown"]["cause"]["node_errors"]["40"]["class_type"] == "ImpactWildcardEncode"
    assert found["stopped"]["error"]
    assert jobs_of(server, "never by saintno") == []
    assert server.ended(jobs_of(server, "gated saintno")[0])["status"] == "cancelled"
    assert len(jobs_of(server, "drawn by saintno")) == len(jobs_of(server, "edited by saintno")) == 1


@pytest.fixture
def uploaded(comfy: httpx.Client) -> None:
    comfy.post("/upload/image", files={"image": ("canvas.png", png("green"))}).raise_for_status()


def test_stable_canvas_client_draws_by_socket_and_by_polling_and_is_refused(
    server: Server, tmp_path: Path, uploaded: None
) -> None:
    found = run("stable_canvas.cjs", server, tmp_path, "canvas")
    assert "euler" in found["samplers"] and "fake" in found["models"]
    for way in ("drawn", "polled", "edited"):
        (image,) = found[way]["images"]
        assert image["type"] == "url" and "/view?filename=ComfyUI_" in image["data"], way
    assert found["unknown"]["status"] == 400
    assert found["unknown"]["told"]["error"]["extra_info"]["class_type"] == "ImpactWildcardEncode"
    assert found["history"] >= 3
    assert jobs_of(server, "never by canvas") == []

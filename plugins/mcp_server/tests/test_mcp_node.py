"""The protocol's own JavaScript client, npm `@modelcontextprotocol/sdk`, against the running server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dialect_kit import TOKEN, jobs_of, png
from harness import Server

SCRIPT = Path(__file__).parent / "support" / "mcp_client.cjs"
MODULES = Path(sys.prefix) / "node" / "node_modules"


def test_it_draws_edits_is_refused_cancels_retries_and_waits(server: Server, tmp_path: Path) -> None:
    (tmp_path / "boat.png").write_bytes(png("blue", 128, 64))
    outcome = subprocess.run(
        ["node", str(SCRIPT), server.url, TOKEN, str(tmp_path / "boat.png")],
        env={"NODE_PATH": str(MODULES), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0, f"{outcome.stderr}\nis it installed? scripts/install-node-clients.sh"
    found = json.loads(outcome.stdout)
    assert found["drawn"]["kinds"] == ["text", "image", "resource_link"] and found["drawn"]["steps"] >= 1
    assert found["edited"] == [128, 64]
    assert found["wrong"]["isError"] and "nearest is 96" in found["wrong"]["text"]
    assert server.ended(jobs_of(server, "gated node-left")[0])["status"] == "cancelled"
    assert len(set(found["once"])) == 1 and len(jobs_of(server, "noise node")) == 1
    assert "Call the tool again in " in found["full"]

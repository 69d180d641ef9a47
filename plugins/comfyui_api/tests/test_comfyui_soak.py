"""ComfyScript, which is too large for every run: collected with VISIONCRAFT_SOAK=1 (`make soak`) alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dialect_kit import TOKEN, jobs_of
from harness import Server
from visioncraft.testing import PATIENCE_S

PYTHON = Path(sys.prefix) / "soak-clients" / "bin" / "python"
SCRIPT = Path(__file__).parent / "support" / "comfy_script_client.py"


def test_comfyscript_draws_twice_over_one_socket_with_nodes_that_the_server_lists(server: Server) -> None:
    assert PYTHON.exists(), "run scripts/install-soak-clients.sh"
    command = [str(PYTHON), "-W", "ignore", str(SCRIPT), server.url_of("comfyui_api"), TOKEN, "by a script"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout.splitlines()[-1]) == [[[64, 64], [64, 64]]] * 2
    assert len(jobs_of(server, "by a script")) == 2

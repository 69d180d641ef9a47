"""The dialect's routes, fuzzed by Schemathesis from their OpenAPI document: no server error, whatever is sent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Server

CASES = int(os.environ.get("VISIONCRAFT_FUZZ_CASES", "200"))


@pytest.mark.timeout(1800 if CASES > 1000 else 600)
def test_no_answer_is_a_server_error(a1111: Server, tmp_path: Path) -> None:
    paths = a1111.get("/openapi.json").json()["paths"].items()
    own = [each for path, each in paths if path.startswith(("/sdapi", "/controlnet"))]
    variable = [each for path in own for each in path.values() if "parameters" in each or "requestBody" in each]
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{a1111.url}/openapi.json",
        "--include-path-regex=^/(sdapi|controlnet)/",
        "--checks=not_a_server_error",
        f"--max-examples={-(-CASES // len(variable))}",
        "--phases=examples,fuzzing",
        "--seed=2026",
        "--suppress-health-check=all",
        "--generation-database=none",
        "--no-color",
    ]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    generated = re.search(r"(\d+) generated, \1 passed", outcome.stdout)
    assert generated and int(generated[1]) >= CASES, outcome.stdout

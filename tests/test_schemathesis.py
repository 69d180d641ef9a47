"""The OpenAPI document, fuzzed by Schemathesis: no server error, and no answer off its own schema.

`make test` tries a few hundred drawn ones; VISIONCRAFT_FUZZ_CASES=2000 (`make soak`) tries that many, and every bound
of every field.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Server

CASES = int(os.environ.get("VISIONCRAFT_FUZZ_CASES", "250"))
LONG = CASES > 1000
PHASES = "examples,coverage,fuzzing" if LONG else "examples,fuzzing"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.mark.timeout(1800 if LONG else 900)
def test_no_answer_is_a_server_error_or_off_its_schema(fake: Server, tmp_path: Path) -> None:
    paths = fake.get("/openapi.json").json()["paths"].values()
    variable = [o for path in paths for o in path.values() if "parameters" in o or "requestBody" in o]
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{fake.url}/openapi.json",
        f"--checks={','.join(CHECKS)}",
        f"--max-examples={-(-CASES // len(variable))}",
        f"--phases={PHASES}",
        "--seed=2026",
        "--suppress-health-check=all",
        "--generation-database=none",
        "--no-color",
    ]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    generated = re.search(r"(\d+) generated, \1 passed", outcome.stdout)
    assert generated and int(generated[1]) >= CASES, outcome.stdout
    print(generated[0])

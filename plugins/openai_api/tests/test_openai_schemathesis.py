"""The dialect's part of the OpenAPI document, fuzzed by Schemathesis: no server error, no answer off its schema.

`make test` tries two hundred; VISIONCRAFT_FUZZ_CASES=2000 (`make soak`) that many, and every bound of every field.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Server

CASES = int(os.environ.get("VISIONCRAFT_FUZZ_CASES", "200"))
LONG = CASES > 1000
PHASES = "examples,coverage,fuzzing" if LONG else "examples,fuzzing"
ROUTES = "^/v1/(images|models)"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.mark.timeout(1800 if LONG else 900)
def test_no_answer_of_the_dialect_is_a_server_error_or_off_its_schema(openai_server: Server, tmp_path: Path) -> None:
    paths = openai_server.get("/openapi.json").json()["paths"]
    routes = [path for path in paths if re.match(ROUTES, path)]
    assert len(routes) >= 5
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{openai_server.url}/openapi.json",
        f"--include-path-regex={ROUTES}",
        f"--checks={','.join(CHECKS)}",
        f"--max-examples={-(-CASES // (len(routes) - 1))}",  # all but the list of models vary
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

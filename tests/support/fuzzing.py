"""OpenAPI documents fuzzed by Schemathesis: no server error, and no answer off its own schema."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from harness import Server

_CHOSEN = os.environ.get("VISIONCRAFT_FUZZ_CASES")
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
LONG = int(_CHOSEN or 0) > 1000
"""Whether every bound of every field is tried too."""
TIMEOUT_S = 1800 if LONG else 900


def cases_or(usual: int) -> int:
    """How many requests are to be tried: as many as VISIONCRAFT_FUZZ_CASES says, else the usual number."""
    return int(_CHOSEN or usual)


def fuzz(server: Server, folder: Path, cases: int, operations: int, *options: str) -> int:
    """Try requests that Schemathesis makes up.

    Args:
        server: Answers them.
        folder: Where Schemathesis runs.
        cases: How many requests at least.
        operations: How many operations of the document vary.
        options: Further options of Schemathesis.

    Returns:
        How many requests were answered well, which are all that were tried.
    """
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{server.url}/openapi.json",
        f"--checks={','.join(_CHECKS)}",
        f"--max-examples={-(-cases // operations)}",
        f"--phases={'examples,coverage,fuzzing' if LONG else 'examples,fuzzing'}",
        "--seed=2026",
        "--suppress-health-check=all",
        "--generation-database=none",
        "--no-color",
        *options,
    ]
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    generated = re.search(r"(\d+) generated, \1 passed", outcome.stdout)
    assert generated, outcome.stdout
    print(generated[0])
    return int(generated[1])

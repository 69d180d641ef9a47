"""The dialect's part of the OpenAPI document, fuzzed by Schemathesis: no server error, no answer off its schema.

`make test` tries two hundred; VISIONCRAFT_FUZZ_CASES=2000 (`make soak`) that many, and every bound of every field.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fuzzing import TIMEOUT_S, cases_or, fuzz
from harness import Server

CASES = cases_or(200)
ROUTES = "^/v1/(images|models)"


@pytest.mark.timeout(TIMEOUT_S)
def test_no_answer_of_the_dialect_is_a_server_error_or_off_its_schema(openai_server: Server, tmp_path: Path) -> None:
    paths = openai_server.get("/openapi.json").json()["paths"]
    routes = [path for path in paths if re.match(ROUTES, path)]
    assert len(routes) >= 5
    varying = len(routes) - 1  # all but the list of models
    assert fuzz(openai_server, tmp_path, CASES, varying, f"--include-path-regex={ROUTES}") >= CASES

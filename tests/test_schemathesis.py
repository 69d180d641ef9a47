"""The OpenAPI document, fuzzed by Schemathesis: no server error, and no answer off its own schema.

`make test` tries a few hundred drawn ones; VISIONCRAFT_FUZZ_CASES=2000 (`make soak`) tries that many, and every bound
of every field.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import TIMEOUT_S, cases_or, fuzz
from harness import Server

CASES = cases_or(250)


@pytest.mark.timeout(TIMEOUT_S)
def test_no_answer_is_a_server_error_or_off_its_schema(fake: Server, tmp_path: Path) -> None:
    paths = fake.get("/openapi.json").json()["paths"].values()
    variable = [o for path in paths for o in path.values() if "parameters" in o or "requestBody" in o]
    assert fuzz(fake, tmp_path, CASES, len(variable)) >= CASES

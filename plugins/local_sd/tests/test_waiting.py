"""How OpenMP waits must be settled before torch is first imported, and a user's own choice stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from visioncraft_local_sd.hardware import choose_device, wait_passively
assert "torch" not in sys.modules
wait_passively()
choose_device("cpu")
print(os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("own", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_passively_unless_the_user_says_otherwise(own: str | None, used: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": own} if own else {}
    said = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == used

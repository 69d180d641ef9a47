"""Memory over time. `make test` runs the short form; with VISIONCRAFT_SOAK=1 (`make soak`) it is the issue's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("scripts") / "drawing.py"
PICTURES, CYCLES = (1000, 500) if os.environ.get("VISIONCRAFT_SOAK") else (100, 20)
AS_IN_A_WORKER = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


def test_drawing_and_loading_over_and_over_takes_no_more_memory(sd1: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(sd1), str(PICTURES), str(CYCLES)]
    environment = {**os.environ, **AS_IN_A_WORKER, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=3000).stdout
    before, after = map(int, said.split())
    assert after <= 1.01 * before, f"grew by {after / before - 1:.1%} of {before / 2**20:.0f} MB"

"""Memory over time. `make test` runs the short form; with VISIONCRAFT_SOAK=1 (`make soak`) it is the issue's."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.weights.headers import tensor_shapes

SCRIPT = Path(__file__).with_name("scripts") / "drawing.py"
PICTURES, CYCLES = (1000, 500) if os.environ.get("VISIONCRAFT_SOAK") else (40, 10)
AS_IN_A_WORKER = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


def test_drawing_and_loading_over_and_over_takes_no_more_memory(sd1: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(sd1), str(PICTURES), str(CYCLES)]
    environment = {**os.environ, **AS_IN_A_WORKER, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=3000).stdout
    before, after = map(int, said.split())
    assert after <= 1.01 * before, f"grew by {after / before - 1:.1%} of {before / 2**20:.0f} MB"


def test_loading_leaves_less_behind_than_an_object_for_each_tensor(
    generator_for: Callable[..., LocalSD], sd1: Path, ask: Callable[..., Any], recorder: Any
) -> None:
    local, model = generator_for(), ask(sd1).model

    def load(times: int) -> int:
        for _ in range(times):
            local.unload(model)
            local.load(model, recorder())
        gc.collect()
        return sys.getallocatedblocks()

    before = load(3)
    tensors = sum(len(tensor_shapes(file)) for file in sd1.rglob("*.safetensors"))
    assert (load(5) - before) / 5 < tensors

"""Draws and loads over and over; prints resident memory, in bytes, before and after: WEIGHTS PICTURES CYCLES."""

from __future__ import annotations

import gc
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from visioncraft import GenerationRequest, ModelInfo
from visioncraft_local_sd.device.memory import give_back
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings

SAMPLERS = ("euler_a", "dpm++_2m_karras", "heun", None)
AT_ONCE = 4


class Silent:
    """A `Progress` that nobody watches."""

    cancelled = False

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Nothing to tell."""

    def stage(self, name: str) -> None:
        """Nothing to tell."""


def main() -> None:
    weights, pictures, cycles = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as data, ThreadPoolExecutor(AT_ONCE) as pool:
        local = LocalSD(LocalSDSettings(device="cpu", dtype="fp32", compile="off"), Path(data))
        model = ModelInfo(id="drawn", name="Drawn", engine="diffusers", source=weights)

        def draw(number: int) -> None:
            request = GenerationRequest(
                prompt=f"number {number}",
                model=model,
                num_inference_steps=2 + number % 3,
                guidance_scale=1.0 + number % 4,
                width=64 + 32 * (number % 2),
                height=64,
                seed=number,
                sampler=SAMPLERS[number % 4],
            )
            local.run(request, Silent())

        def work(first: int, count: int, loads: int) -> int:
            for _ in range(loads):
                local.unload(model)
                local.load(model, Silent())
            list(pool.map(draw, range(first, first + count)))
            give_back("cpu")
            return int(psutil.Process().memory_info().rss)

        work(0, 4, 1)
        gc.freeze()  # what is imported by now stays, and is not looked through whenever a model leaves
        before = work(4, 60, 10)
        print(before, work(64, pictures, cycles))


if __name__ == "__main__":
    main()

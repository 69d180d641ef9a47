"""Drawing: `LocalSD.run` against a stock `StableDiffusionPipeline` in a loop, alternating in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visioncraft import GenerationRequest, ModelInfo, model_folder

STEPS = 20
SIDE = 512
ROUNDS = 7
PROMPT = "a red apple"


class Silent:
    """A `Progress` that nobody watches."""

    cancelled = False

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Nothing to tell."""

    def stage(self, name: str) -> None:
        """Nothing to tell."""


def rows() -> list[tuple[str, str, str]]:
    """mini at 512x512, 20 steps, PNG included, in fp32 as stock diffusers draws and in the measured precision."""
    import visioncraft_mini

    weights = model_folder(str(visioncraft_mini.__file__), "weights")
    stock = _stock(weights)
    found = []
    for dtype, label in (("fp32", "in fp32"), ("auto", "in the precision measured at load")):
        draw, precision = _ours(weights, dtype)
        ours, peer = _alternate(draw, stock)
        what = f"one picture of mini, {SIDE}x{SIDE}, {STEPS} steps, {label} ({precision})"
        found.append((what, f"{ours * 1e3:.0f} ms", f"stock diffusers {peer * 1e3:.0f} ms, ratio {ours / peer:.2f}"))
    return found


def _ours(weights: str, dtype: str) -> tuple[Callable[[int], None], str]:
    """A call that draws with a seed, and the precision it draws in."""
    from visioncraft_local_sd.generator import LocalSD
    from visioncraft_local_sd.settings import LocalSDSettings

    settings = LocalSDSettings.model_validate({"device": "cpu", "dtype": dtype})
    local = LocalSD(settings, data_path=Path(tempfile.gettempdir()) / "visioncraft-bench")
    model = ModelInfo(id="bench", name="bench", engine="diffusers", source=weights)

    def request(seed: int) -> GenerationRequest:
        return GenerationRequest(PROMPT, model, num_inference_steps=STEPS, width=SIDE, height=SIDE, seed=seed)

    def draw(seed: int) -> None:
        local.run(request(seed), Silent())

    precision = str(local.run(request(0), Silent()).facts["dtype"])
    return draw, precision


def _stock(weights: str) -> Callable[[int], None]:
    import diffusers
    import torch

    pipeline_class: Any = diffusers.StableDiffusionPipeline
    # mini's weights are stored as fp16, in which a CPU must not compute
    pipe = pipeline_class.from_pretrained(weights, dtype=torch.float32, local_files_only=True, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)

    def draw(seed: int) -> None:
        generator = torch.Generator("cpu").manual_seed(seed)
        pipe(PROMPT, width=SIDE, height=SIDE, num_inference_steps=STEPS, generator=generator)

    draw(0)
    return draw


def _alternate(ours: Callable[[int], None], peer: Callable[[int], None]) -> tuple[float, float]:
    """Median seconds of both, taken in turn so that the machine's moods meet both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for seed in range(ROUNDS):
        for draw, kept in zip((ours, peer), times, strict=True):
            start = time.perf_counter()
            draw(seed)
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])

"""A plugin whose engine does nothing: what is measured through it is the house, not the drawing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from visioncraft import (
    GeneratedImage,
    GenerationRequest,
    Generator,
    Limits,
    ModelInfo,
    Progress,
    encode_png,
    hookimpl,
)

NAME = "bench_engine"
_STEP_S = 0.02  # about a step of the embedded model


class BenchEngine(Generator):
    """Answers one noisy picture of the size asked for; the prompt `wait` takes steps until it is cancelled."""

    name = NAME

    def __init__(self) -> None:
        self._pictures: dict[tuple[int, int], bytes] = {}

    def models(self) -> Sequence[ModelInfo]:
        """One model, without limits worth speaking of."""
        return [ModelInfo(id="bench", name="Bench", engine=NAME, limits=Limits(steps=(1, 10**6)))]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Answer at once."""
        progress.step(1, request.num_inference_steps)
        while request.prompt == "wait":
            time.sleep(_STEP_S)
            progress.step(1, request.num_inference_steps)
        size = (request.height, request.width)
        if size not in self._pictures:
            pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
            self._pictures[size] = encode_png(pixels)
        return GeneratedImage(self._pictures[size], request.width, request.height, request.seed)


@hookimpl
def visioncraft_generators() -> Sequence[Generator]:
    """The engine."""
    return [BenchEngine()]


def install(site: Path) -> dict[str, str]:
    """Make the plugin known below `site`; answers the environment of a process that shall find it."""
    info = site / f"{NAME}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[visioncraft]\n{NAME} = {__name__}\n")
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), root))}

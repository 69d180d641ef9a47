"""A generator that draws at once, and a `Progress` that remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from visioncraft.errors import JobCancelled
from visioncraft.images.png import encode_png
from visioncraft.plugins.contracts import Generator, Progress
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import Limits, ModelInfo


class FakeGenerator(Generator):
    """Fills a picture with the seed's colour, step by step and at once."""

    name: ClassVar[str] = "fake"

    def models(self) -> Sequence[ModelInfo]:
        """One model, `fake`, that takes few steps."""
        limits = Limits(steps=(1, 50), size_multiple=1, min_resolution=(1, 1))
        return [ModelInfo(id="fake", name="Fake", engine=self.name, description="One colour", limits=limits)]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one colour."""
        for step in range(1, request.num_inference_steps + 1):
            progress.step(step, request.num_inference_steps)
        return one_colour(request)


def one_colour(request: GenerationRequest) -> GeneratedImage:
    """A picture of the size asked for, in a colour that the seed's lowest three bytes say."""
    colour = np.array([request.seed & 255, request.seed >> 8 & 255, request.seed >> 16 & 255], dtype=np.uint8)
    pixels = np.broadcast_to(colour, (request.height, request.width, 3))
    png = encode_png(np.ascontiguousarray(pixels))
    return GeneratedImage(png, request.width, request.height, request.seed)


class Recorder:
    """A `Progress` that remembers, and cancels itself at a given step or stage.

    Args:
        cancel_at_step: The step at which the job counts as cancelled.
        cancel_at_stage: Whether it does at the first stage.
        on_step, on_stage: Called with each step's number, each stage's name.
    """

    def __init__(
        self,
        cancel_at_step: int | None = None,
        cancel_at_stage: bool = False,
        on_step: Callable[[int], object] | None = None,
        on_stage: Callable[[str], object] | None = None,
    ) -> None:
        self.steps: list[tuple[int, int]] = []
        self.previews: list[tuple[int, bytes]] = []
        self.stages: list[str] = []
        self.cancelled = False
        self.on_step, self.on_stage = on_step, on_stage
        self._cancel_at_step, self._cancel_at_stage = cancel_at_step, cancel_at_stage

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Remember a step; raises `JobCancelled` once the job is."""
        self.steps.append((step, total))
        if preview is not None:
            self.previews.append((step, preview))
        if self.on_step:
            self.on_step(step)
        self._stop(step == self._cancel_at_step)

    def stage(self, name: str) -> None:
        """Remember a stage; raises `JobCancelled` once the job is."""
        self.stages.append(name)
        if self.on_stage:
            self.on_stage(name)
        self._stop(self._cancel_at_stage)

    def _stop(self, now: bool) -> None:
        self.cancelled = self.cancelled or now
        if self.cancelled:
            raise JobCancelled

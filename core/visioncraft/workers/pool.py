"""Where generators run: in worker processes, or in this one. Nothing that calls a pool knows which."""

from __future__ import annotations

from typing import Protocol

from visioncraft.plugins.contracts import Progress
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus


class WorkerPool(Protocol):
    """Runs generators' work and comes back with the answer.

    Generators are named, requests and answers are plain data, and lost work is the caller's to submit again, so that
    workers may as well be on other machines.

    Cancelling the task that awaits `run` or `load` stops the work; the task ends once the work has stopped.
    """

    async def run(self, generator: str, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture. Raises what the generator raises, and `WorkerLost` where the worker is gone.

        `progress` is called in this event loop.
        """

    async def load(self, generator: str, model: ModelInfo, progress: Progress) -> None:
        """Bring a model into memory. Raises as `run` does."""

    async def status(self, generator: str) -> BackendStatus:
        """Where a generator stands, as last heard; one that was not heard of yet is asked. Raises what it raises."""

    async def close(self) -> None:
        """Stop what runs and give everything back."""

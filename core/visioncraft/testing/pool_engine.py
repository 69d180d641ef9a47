"""A plugin whose generator does what the contract of pools asks of it; its prompts are orders."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visioncraft.errors import InsufficientVRAM
from visioncraft.plugins.contracts import Generator, Progress
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus

NAME = "pool_engine"
MODEL = ModelInfo(id="pool-model", name="Pool model", engine=NAME)
FOLDER = "POOL_ENGINE_FOLDER"
"""The environment variable of the folder in which it notes that it was closed."""

_PATIENCE_S = 60


class PoolEngine(Generator):
    """Draws nothing: its image is four bytes."""

    name = NAME
    concurrency = 2

    def __init__(self) -> None:
        self._loaded: tuple[str, ...] = ()
        self._meeting = threading.Barrier(2)

    def models(self) -> Sequence[ModelInfo]:
        """One."""
        return [MODEL]

    def load(self, model: ModelInfo, progress: Progress) -> None:
        """Remember the model."""
        progress.stage("loading")
        self._loaded = (model.id,)

    def status(self) -> BackendStatus:
        """Which model was loaded."""
        return BackendStatus(self.name, self._loaded, facts={"pid": os.getpid()})

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Do what the prompt says."""
        if request.prompt == "nothing":
            nothing: Any = None
            return nothing  # type: ignore[no-any-return]
        self._obey(request.prompt)
        progress.stage("drawing")
        for step in range(1, 10**9 if request.prompt == "for ever" else 4):
            progress.step(step, 3, b"preview" if step == 2 else None)
        facts = {"pid": os.getpid(), "job": request.job_id, "prompt": request.prompt}
        return GeneratedImage(b"png", 8, 8, request.seed, facts=facts)

    def close(self) -> None:
        """Note where it ran."""
        Path(os.environ[FOLDER], "closed").write_text(str(os.getpid()), "ascii")

    def _obey(self, prompt: str) -> None:
        if prompt == "vram":
            raise InsufficientVRAM(1.0, 2.0)
        if prompt == "crash":
            raise RuntimeError("a secret path")
        if prompt == "die":
            os._exit(7)
        if prompt == "meet":
            self._meeting.wait(_PATIENCE_S)


@hookimpl
def visioncraft_generators() -> Sequence[Generator]:
    """The one."""
    return [PoolEngine()]

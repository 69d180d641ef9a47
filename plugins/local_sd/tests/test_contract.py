"""Stable Diffusion keeps the contract that every generator is held by."""

from __future__ import annotations

from pathlib import Path

import pytest
from visioncraft import Generator, Limits, ModelInfo
from visioncraft.testing import GeneratorContract
from visioncraft_local_sd.generator import LocalSD


class TestLocalSD(GeneratorContract):
    """With a real pipeline of random weights on the CPU."""

    @pytest.fixture
    def generator(self, local: LocalSD) -> Generator:
        return local

    @pytest.fixture
    def model(self, sd1: Path) -> ModelInfo:
        limits = Limits(steps=(2, 50), min_resolution=(64, 64))
        return ModelInfo(id=sd1.stem, name="Tiny", engine="diffusers", source=str(sd1), limits=limits)

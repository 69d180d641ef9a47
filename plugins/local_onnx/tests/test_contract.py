"""ONNX Runtime keeps the contract that every generator is held by."""

from __future__ import annotations

import pytest
from visioncraft import Generator, ModelInfo
from visioncraft.testing import GeneratorContract
from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_mini.plugin import MINI


class TestLocalOnnx(GeneratorContract):
    """With the embedded model's own graphs."""

    @pytest.fixture
    def generator(self, onnx: LocalOnnx) -> Generator:
        return onnx

    @pytest.fixture
    def model(self) -> ModelInfo:
        return MINI

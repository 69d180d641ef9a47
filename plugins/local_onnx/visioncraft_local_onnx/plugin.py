"""The hooks of `local_onnx`."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Generator, Settings, hookimpl

from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_local_onnx.settings import LocalOnnxSettings


@hookimpl
def visioncraft_generators(settings: Settings) -> Sequence[Generator]:
    """One generator, for every exported model of this machine and for other plugins' `onnx` models."""
    return [LocalOnnx(settings.plugin("local_onnx", LocalOnnxSettings), data_path=settings.data_path)]

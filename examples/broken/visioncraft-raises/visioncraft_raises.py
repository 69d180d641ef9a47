"""Fails whenever it is asked."""

from visioncraft import ModelInfo, hookimpl


@hookimpl
def visioncraft_models() -> list[ModelInfo]:
    raise OSError("the list of models is on fire")

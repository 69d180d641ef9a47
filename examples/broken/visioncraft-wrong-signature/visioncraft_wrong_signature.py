"""Asks for an argument that the hook does not have."""

from visioncraft import ModelInfo, Settings, hookimpl


@hookimpl
def visioncraft_models(settings: Settings, device: str) -> list[ModelInfo]:
    return []

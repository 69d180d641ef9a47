"""Never answers."""

from threading import Event

from visioncraft import ModelInfo, hookimpl


@hookimpl
def visioncraft_models() -> list[ModelInfo]:
    Event().wait()
    return []

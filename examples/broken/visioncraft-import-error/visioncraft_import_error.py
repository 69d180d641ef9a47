"""Needs a module that nobody has."""

import a_module_that_nobody_has
from visioncraft import ModelInfo, hookimpl


@hookimpl
def visioncraft_models() -> list[ModelInfo]:
    return a_module_that_nobody_has.models()

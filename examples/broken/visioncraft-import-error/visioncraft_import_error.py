"""Needs a module that nobody has."""

import a_module_that_nobody_has
from visioncraft import hookimpl


@hookimpl
def visioncraft_models():
    return a_module_that_nobody_has.models()

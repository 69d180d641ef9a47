"""Fails whenever it is asked."""

from visioncraft import hookimpl


@hookimpl
def visioncraft_models():
    raise OSError("the list of models is on fire")

"""Asks for an argument that the hook does not have."""

from visioncraft import hookimpl


@hookimpl
def visioncraft_models(settings, device):
    return []

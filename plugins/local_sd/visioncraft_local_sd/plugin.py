"""The hooks of `local_sd`."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Generator, Settings, hookimpl

from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings


@hookimpl
def visioncraft_generators(settings: Settings) -> Sequence[Generator]:
    """One generator, for every Stable Diffusion model of this machine and for other plugins' `diffusers` models."""
    table = settings.plugin("local_sd", LocalSDSettings)
    return [LocalSD(table, data_path=settings.data_path)]

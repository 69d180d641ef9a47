"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, hookimpl


@hookimpl
def visioncraft_routers(service: Service) -> Sequence[Dialect]:
    """AUTOMATIC1111's API."""
    return []

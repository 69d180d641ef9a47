"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, Settings, hookimpl


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """AUTOMATIC1111's API."""
    from visioncraft_a1111_api.dialect import dialects

    return dialects(settings, service)

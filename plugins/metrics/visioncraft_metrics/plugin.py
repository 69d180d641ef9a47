"""The hooks. prometheus-client waits until the server's routes are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, Settings, hookimpl

from visioncraft_metrics.settings import MetricsSettings

NAME = "metrics"


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """`GET /metrics`, and what counts while the server runs."""
    from visioncraft_metrics.endpoint import metrics_router

    table = settings.plugin(NAME, MetricsSettings)
    opened = ["GET /metrics"] if table.open else []
    return [Dialect(metrics_router(settings, service, table.look_s), open_paths=opened, scope="models:read")]

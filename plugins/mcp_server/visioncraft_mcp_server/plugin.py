"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, Settings, hookimpl


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """Model Context Protocol, at `/mcp`."""
    from visioncraft_mcp_server import door, errors  # which need what only a server does

    # What every tool needs; each asks for more by itself.
    return [Dialect(door.router(settings, service), errors=errors.answer, scope="models:read")]

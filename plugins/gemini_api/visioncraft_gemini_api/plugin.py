"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, hookimpl


@hookimpl
def visioncraft_routers(service: Service) -> Sequence[Dialect]:
    """Google's Gemini API, as far as it draws, with its own errors."""
    from visioncraft_gemini_api import errors, routes  # which need what only a server does

    return [Dialect(routes.router(service), errors=errors.answer, scope="generate")]

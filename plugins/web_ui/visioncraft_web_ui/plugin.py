"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from visioncraft import Authenticator, Dialect, Service, Settings, hookimpl

from visioncraft_web_ui.sessions import PURPOSE, Sessions
from visioncraft_web_ui.settings import PageSettings


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """The page at `/app/`, and the login."""
    from visioncraft_web_ui.routes import routes
    from visioncraft_web_ui.shell import shell

    router = routes(_sessions(service, _hours(settings)), service, needed=settings.token is not None)
    return [Dialect(router, mounts=[shell()], open_paths=["/app", "/app/"], home="/app/")]


@hookimpl
def visioncraft_authenticators(settings: Settings, service: Service) -> Sequence[Authenticator]:
    """Who has logged in, where the server has a token."""
    return [_sessions(service, _hours(settings))] if settings.token is not None else []


def _hours(settings: Settings) -> float:
    return settings.plugin("web_ui", PageSettings).session_hours


@lru_cache(maxsize=4)
def _sessions(service: Service, hours: float) -> Sessions:
    """The logins of one server: both hooks are asked for the same ones."""
    return Sessions(lambda: service.secret(PURPOSE), int(hours * 3600))

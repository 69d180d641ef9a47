"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from visioncraft import Authenticator, Dialect, Service, Settings, hookimpl

from visioncraft_web_ui.sessions import Sessions
from visioncraft_web_ui.settings import PageSettings


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """The page at `/app/`, and the login."""
    from visioncraft_web_ui.routes import routes
    from visioncraft_web_ui.shell import shell

    router = routes(_sessions(settings, service), service)
    page = [shell()]
    return [Dialect(router, mounts=page, open_paths=["/app", "/app/"], home="/app/", scope="gallery:read")]


@hookimpl
def visioncraft_authenticators(settings: Settings, service: Service) -> Sequence[Authenticator]:
    """Who has logged in."""
    return [_sessions(settings, service)]


def _sessions(settings: Settings, service: Service) -> Sessions:
    hours = settings.plugin("web_ui", PageSettings).session_hours
    return _sessions_of(cast(Any, service), int(hours * 3600))


@lru_cache(maxsize=4)
def _sessions_of(service: Any, lifetime_s: int) -> Sessions:
    """The logins of one server: both hooks are asked for the same ones."""
    return Sessions(service, lifetime_s)

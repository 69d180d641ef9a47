"""What a route asks of who uses it: a scope, which `/docs` and `/openapi.json` show too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Security
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.params import Security as Needed
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from visioncraft.access.scopes import SCOPES, require
from visioncraft.api.dialects import refuse
from visioncraft.errors import Forbidden
from visioncraft.plugins.service import Dialect


class _Keys(SecurityBase):
    """The token or an access key. The guard in front has let nobody pass without one; this looks at the scopes."""

    def __init__(self) -> None:
        words = "The server's token, or an access key (`visioncraft keys create`)"
        self.model = BearerModel(description=words)
        self.scheme_name = "token"

    async def __call__(self, _connection: HTTPConnection, asked: SecurityScopes) -> None:
        for scope in asked.scopes:
            require(scope)


_KEYS = _Keys()


def needs(scope: str) -> Any:
    """A dependency of a route that asks for a scope: `@router.get("/x", dependencies=[needs("gallery:read")])`.

    A plugin's route that names none asks for `admin`.

    Args:
        scope: One of `visioncraft.SCOPES`.

    Raises:
        ValueError: There is no such scope.

    .. versionadded:: 1.1
    """
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {scope!r}; there are {', '.join(SCOPES)}")
    return Security(_KEYS, scopes=[scope])


def ask_for_scope(router: APIRouter, dialect: Dialect) -> None:
    """Have every route of a plugin ask for a scope: what it names, its dialect's, or else that of an administrator.

    Args:
        router: The plugin's, with the routers that it includes.
        dialect: What the plugin says of all of them.
    """
    whole = _scopes_of(router.dependencies)
    for found in iter_route_contexts(router.routes):
        if whole or _scopes_of(getattr(found, "dependencies", None) or ()):
            continue
        route = found.original_route
        if isinstance(route, APIRoute | APIWebSocketRoute):
            route.dependencies.append(needs(dialect.scope or "admin"))
        elif isinstance(route, Route | WebSocketRoute):
            route.app = route.endpoint = _Scoped(route.app, dialect.scope)
        elif isinstance(route, Mount):
            scoped(route, dialect)


def scoped(mount: Mount, dialect: Dialect) -> Mount:
    """A plugin's other application, which asks for its dialect's scope where a request needs a key at all."""
    mount.app = _Scoped(mount.app, dialect.scope)
    return mount


class _Scoped:
    """An ASGI application behind a scope.

    Args:
        app: The application.
        scope: What it asks for; None is `admin`.
    """

    def __init__(self, app: ASGIApp, scope: str | None) -> None:
        self._app, self._needed = app, scope or "admin"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            require(self._needed)
        except Forbidden as error:
            await refuse(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _scopes_of(dependencies: Sequence[Any]) -> list[str]:
    """The scopes that a route's own dependencies ask for."""
    ours = [each for each in dependencies if isinstance(each, Needed) and each.dependency is _KEYS]
    return [scope for each in ours for scope in each.scopes or ()]

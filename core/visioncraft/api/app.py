"""The FastAPI application: assembly only."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from visioncraft._version import API_VERSION
from visioncraft.api import errors, openapi
from visioncraft.api.access_log import AccessLog
from visioncraft.api.bodies import BodyGuard, BodyMemory
from visioncraft.api.dialects import Dialects
from visioncraft.api.headers import SafeHeaders
from visioncraft.api.links import local_path
from visioncraft.api.methods import HeadAnswers
from visioncraft.api.middleware import (
    DOCS_ASSETS,
    CrashGuard,
    DocsPolicy,
    Guarded,
    HostAndOriginGuard,
    TokenGuard,
    is_open,
)
from visioncraft.api.needs import ask_for_scope, scoped
from visioncraft.api.origins import origin_pattern
from visioncraft.api.ports import OwnPort, app_of, living
from visioncraft.api.proxies import Forwarded
from visioncraft.api.routes import gallery, generate, images, jobs, system
from visioncraft.api.signed_links import SignedLinks
from visioncraft.api.turnstile import Turnstile
from visioncraft.plugins.guard import one_line
from visioncraft.plugins.info import PluginInfo
from visioncraft.plugins.service import Dialect
from visioncraft.runtime.runtime import Runtime
from visioncraft.settings import ServerSettings, Settings
from visioncraft.types.identity import Authenticator

log = logging.getLogger(__name__)


def create_app(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The server's ASGI application.

    Args:
        settings: Validated settings.
        runtime: An assembled runtime, for tests; by default one with all installed plugins.

    Raises `ConfigurationError` when the settings cannot be served.
    """
    house = runtime or Runtime(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with house, living(app.state.ports):
            yield

    app = FastAPIOffline(  # /docs and /redoc with their scripts from here, not from a CDN
        static_url=DOCS_ASSETS,
        title="VisionCraft Pro API",
        version=API_VERSION,
        description="One image-generation API in front of every engine.",
        lifespan=lifespan,
    )
    app.state.runtime = house
    app.state.dialects, app.state.ports = Dialects(), []
    errors.install(app, app.state.dialects.errors_or)
    for routes in (system, generate, jobs, gallery, images):
        app.include_router(routes.router)
    _mount_plugins(app, house)
    openapi.customise(app, house)
    authenticators = _authenticators(house)
    house.guarded = Guarded(house.token, house.access_keys, _ask_everybody(authenticators))
    app.state.links = SignedLinks(house.token, house.guarded)
    _guard_all(app, house, [house.access_keys, *authenticators])
    return app


def _authenticators(house: Runtime) -> list[Authenticator]:
    """Those of all plugins, in the order of the plugins' names."""
    return [each for _, offered in house.plugins.collect("visioncraft_authenticators") for each in offered]


def _ask_everybody(authenticators: Sequence[Authenticator]) -> bool:
    """Whether nobody comes in unknown because of them."""
    return any(getattr(each, "asks_everybody", True) for each in authenticators)


def _mount_plugins(app: FastAPI, house: Runtime) -> None:
    """Further routers, after the core's own; one that cannot be mounted costs its plugin alone."""
    for info, offered in house.plugins.collect("visioncraft_routers"):
        try:
            for each in offered:
                _mount(app, info, each)
        except Exception as error:
            house.plugins.fail(info, f"a router of it cannot be mounted: {one_line(error)}", error)


def _mount(app: FastAPI, info: PluginInfo, offered: APIRouter | Mount | Dialect) -> None:
    """What one plugin answers: its routes, its other applications, and how it answers errors there."""
    if not isinstance(offered, APIRouter | Mount | Dialect):
        raise TypeError(f"a {type(offered).__name__} is no APIRouter, Mount or Dialect")
    dialect = offered if isinstance(offered, Dialect) else Dialect()
    if dialect.port is not None:
        app.state.ports.append(OwnPort(info, dialect.port, app_of(dialect, info, app)))
        return
    router = offered if isinstance(offered, APIRouter) else dialect.router
    mounts = [offered] if isinstance(offered, Mount) else list(dialect.mounts)
    before = len(app.routes)
    if router is not None:
        _leave_out_taken(router, app, info)
        ask_for_scope(router, dialect)
        app.include_router(router, tags=[info.name])
    app.router.routes.extend(scoped(each, dialect) for each in mounts)
    if isinstance(offered, Dialect):
        app.state.dialects.add(dialect, app.routes[before:])


def _leave_out_taken(router: APIRouter, app: FastAPI, info: PluginInfo) -> None:
    """Leave out a plugin's routes that an earlier one answers: they would never be asked, yet stand in /docs.

    Those of a router within the plugin's are told of alone: it may be there under another prefix too.
    """
    left_out = []
    for found in [*iter_route_contexts(router.routes)]:
        route, path = found.original_route, found.path
        if not isinstance(route, APIRoute) or path is None:
            continue
        asked = {"type": "http", "path": re.sub("{.*?}", "0", path)}
        taken = [m for m in route.methods or () if any(_answers(each, asked | {"method": m}) for each in app.routes)]
        if taken:
            left_out.append(f"{taken[0]} {path}")
            if route in router.routes:
                router.routes.remove(route)
    if left_out:
        said = f"its {', '.join(left_out)} is left out: an earlier route answers there"
        info.blame(said)
        log.error("%s: %s", info.origin, said)


def _answers(route: BaseRoute, scope: dict[str, Any]) -> bool:
    return route.matches(scope)[0] is Match.FULL


def _guard_all(app: FastAPI, house: Runtime, authenticators: Sequence[Authenticator]) -> None:
    """Guard the API and the dialects on ports of their own, which have one bound for the bodies of all."""
    server, dialects, links = house.settings.server, app.state.dialects, app.state.links
    bodies = BodyMemory(max(server.max_body_bytes, server.body_memory_bytes))

    def is_opened(scope: Scope) -> bool:
        return is_open(local_path(scope)) or dialects.is_opened(scope) or links.opens(scope)

    _guard(app, server, authenticators, bodies, is_opened)
    for each in app.state.ports:
        # No proxy offers such a port under the API's path, and what the API opens is not the dialect's to open.
        apart = server.model_copy(update={"root_path": ""})
        each.app.state.links = links.from_elsewhere(server.port)
        _guard(each.app, apart, authenticators, bodies, each.app.state.dialects.is_opened)


def _guard(
    app: FastAPI,
    server: ServerSettings,
    authenticators: Sequence[Authenticator],
    bodies: BodyMemory,
    is_opened: Callable[[Scope], bool],
) -> None:
    """Middleware, the innermost first: what is refused for its Host or Origin is refused before anything else."""
    app.add_middleware(HeadAnswers)
    app.add_middleware(
        BodyGuard,
        limit=server.max_body_bytes,
        memory=bodies,
        limit_of=app.state.dialects.request_size,
        to_disk=app.state.dialects.is_kept_on_disk,
    )
    app.add_middleware(DocsPolicy)
    app.add_middleware(CrashGuard)
    app.add_middleware(
        TokenGuard,
        token=app.state.runtime.token,
        guarded=app.state.runtime.guarded,
        authenticators=authenticators,
        is_opened=is_opened,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origin_regex=origin_pattern(server.cors_origins).pattern,
        allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=["X-Job-Id", "X-Image-Id", "X-Warnings", "X-Request-Id", "Location", "Retry-After", "ETag"],
        allow_private_network=True,
    )
    app.add_middleware(HostAndOriginGuard, server=server)
    app.add_middleware(Forwarded, server=server)
    app.add_middleware(SafeHeaders, origins=server.cors_origins)
    app.add_middleware(Turnstile)
    app.add_middleware(AccessLog)

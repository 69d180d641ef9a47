"""Dialects on ports of their own: an application for each, where nothing answers but the dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from visioncraft.api import errors
from visioncraft.api.dialects import Dialects
from visioncraft.api.needs import ask_for_scope, scoped
from visioncraft.plugins.info import PluginInfo
from visioncraft.plugins.service import Dialect


@dataclass(frozen=True, slots=True)
class OwnPort:
    """A dialect that does not answer on the API's port.

    Args:
        info: The plugin, which is told where its port cannot be had.
        port: The port that the plugin asks for.
        app: Answers there.
    """

    info: PluginInfo
    port: int
    app: FastAPI


def app_of(dialect: Dialect, info: PluginInfo, api: FastAPI) -> FastAPI:
    """The application of one dialect, still without guards.

    Args:
        dialect: What the plugin has handed over.
        info: The plugin.
        api: The API's application, with whose runtime it works.
    """
    app = FastAPI(title=info.name, openapi_url=None)
    app.state.runtime = api.state.runtime
    app.state.dialects = Dialects(only=dialect)
    errors.install(app, app.state.dialects.errors_or)
    if dialect.router is not None:
        ask_for_scope(dialect.router, dialect)
        app.include_router(dialect.router)
    app.router.routes.extend(scoped(mount, dialect) for mount in dialect.mounts)
    return app


@asynccontextmanager
async def living(ports: Sequence[OwnPort]) -> AsyncIterator[None]:
    """Run what the routers of these applications begin and end with: no server starts an application within another."""
    async with AsyncExitStack() as stack:
        for each in ports:
            await stack.enter_async_context(each.app.router.lifespan_context(each.app))
        yield

"""`/mcp`: the way to the protocol's own library, which is imported when the first client comes.

Importing it takes longer than all else that a server does before it is ready, and most servers have no such client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.types import Message, Receive, Scope, Send
from visioncraft import Service, ServiceUnavailable, Settings

if TYPE_CHECKING:
    from visioncraft_mcp_server.server import Speaker

PATHS = ("/mcp", "/mcp/")
HUNG_UP = "mcp_hung_up"
"""In a request's state: set once its client has hung up."""
_METHODS = ["GET", "POST", "DELETE"]


def router(settings: Settings, service: Service) -> APIRouter:
    """The routes, and the life of what answers behind them.

    Args:
        settings: The server's.
        service: Draws, and has the gallery.
    """
    door = Door(settings, service)
    routes = APIRouter(lifespan=door.lifespan)
    for path in PATHS:

        @routes.api_route(path, methods=_METHODS, include_in_schema=False, response_class=Response)
        async def mcp(_request: Request) -> Response:
            """Whatever the protocol's library answers."""
            return await door.answer()

    return routes


class Door:
    """Opens for the first client, and closes with the server.

    Args:
        settings: The server's.
        service: Draws, and has the gallery.
    """

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings, self._service = settings, service
        self._opening = asyncio.Lock()
        self._closing = asyncio.Event()
        self._speaker: Speaker | None = None
        self._speaking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """While the server runs."""
        try:
            yield
        finally:
            self._closing.set()
            if self._speaking is not None:
                await self._speaking

    async def answer(self) -> Response:
        """An answer that the protocol's library makes. Raises `ServiceUnavailable` where the server is ending."""
        async with self._opening:
            if self._closing.is_set():
                raise ServiceUnavailable("The server is ending; ask again when it is back")
            if self._speaker is None:
                self._speaker = await self._opened()
        return _Answer(self._speaker)

    async def _opened(self) -> Speaker:
        speaker = await asyncio.to_thread(self._made)
        ready = asyncio.Event()
        self._speaking = asyncio.create_task(self._speak(speaker, ready))
        await ready.wait()
        return speaker

    def _made(self) -> Speaker:
        from visioncraft_mcp_server.server import Speaker

        return Speaker(self._settings, self._service)

    async def _speak(self, speaker: Speaker, ready: asyncio.Event) -> None:
        """Keep the library's tasks, in a task of its own: a group of tasks is left by the task that has entered it."""
        async with speaker.running():
            ready.set()
            await self._closing.wait()


class _Answer(Response):
    """Hands a request over as it is, and lets all answers pass as they come: streams last for minutes."""

    def __init__(self, speaker: Speaker) -> None:
        super().__init__()
        self._speaker = speaker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have it answered, and remember whether the client hung up: a server that ends breaks requests off too."""
        hung_up = scope.setdefault("state", {})[HUNG_UP] = asyncio.Event()

        async def noticed() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                hung_up.set()
            return message

        await self._speaker.handle(scope, noticed, send)

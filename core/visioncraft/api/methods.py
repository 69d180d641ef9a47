"""What holds for HTTP's methods on every route, the plugins' too: HEAD wherever GET is, and a true Allow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_MATCHED_BY = ("type", "path", "root_path", "headers", "query_string")


class HeadAnswers:
    """Answers HEAD with what GET would, less the body (RFC 9110, 9.3.2); FastAPI's routes answer it with 405."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; a HEAD as a GET that ends where its body would begin, be that a page, a zip or a stream."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                await send({"type": "http.response.body", "body": b""})
                answer.cancel()
            else:
                await send(message)

        answer = asyncio.ensure_future(self._app({**scope, "method": "GET"}, receive, without_body))
        try:
            await asyncio.wait([answer])
        finally:
            answer.cancel()
        with suppress(asyncio.CancelledError):
            await answer


def allowed(app: FastAPI, scope: Scope) -> str:
    """The methods that a path takes, as `Allow` lists them: those of all its routes, of which Starlette names one's."""
    asked: dict[str, Any] = {name: scope[name] for name in _MATCHED_BY if name in scope}
    routes = [route for route in app.routes if not isinstance(route, Mount)]  # a mount takes any method, and refuses it
    found = {
        method
        for method in _METHODS
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
    }
    found |= {"HEAD"} if "GET" in found else set()
    return ", ".join(method for method in _METHODS if method in found) or "GET, HEAD"

"""Headers that every answer carries, so that a browser does with it only what it was meant for."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visioncraft.api.origins import origin_pattern

SAFE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-site"),
)
"""No guessing of types, no frame around it, no use by another site's page. A route may say otherwise itself."""

_STARTS = ("http.response.start", "websocket.http.response.start")


class SafeHeaders:
    """Adds `SAFE_HEADERS` to every answer.

    Args:
        origins: `server.cors_origins`. Their pages may show pictures of this server, by `<img>` too, for which a
            browser names the page in `Referer` or not at all.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = origin_pattern(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the headers on what is answered."""

        async def safely(message: Message) -> None:
            if message["type"] in _STARTS:
                answered = MutableHeaders(scope=message)
                for name, value in headers:
                    answered.setdefault(name.decode(), value.decode())
            await send(message)

        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = SAFE_HEADERS
        if _is_allowed(self._origins, Headers(scope=scope)):
            headers = (*SAFE_HEADERS[:-1], (SAFE_HEADERS[-1][0], b"cross-origin"))
        await self._app(scope, receive, safely)


def _is_allowed(origins: re.Pattern[str], headers: Headers) -> bool:
    """Whether an allowed origin's page asks, as far as the request says who asks."""
    page = headers.get("origin") or headers.get("referer") or ""
    try:
        parts = urlsplit(page)
    except ValueError:
        return False
    return origins.fullmatch(f"{parts.scheme}://{parts.netloc}") is not None

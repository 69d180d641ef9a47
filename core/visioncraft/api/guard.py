"""Who may talk to the server, and how much: plain ASGI middleware, so that streaming and hang-ups pass untouched."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visioncraft.api.errors import error_response
from visioncraft.api.origins import origin_pattern
from visioncraft.errors import AuthenticationError, Forbidden, VisionCraftError
from visioncraft.settings import ServerSettings

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/", "/health", "/docs", "/redoc", "/openapi.json"})
"""What answers without a token: nothing of the user's is in it."""

_DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; worker-src blob:; frame-ancestors 'none'"
)

DOCS_ASSETS = "/docs-assets"
"""Where the scripts and styles of `/docs` and `/redoc` are; open like the pages themselves."""


class HostAndOriginGuard:
    """Refuses foreign Host headers (DNS rebinding) and foreign Origins (other sites' pages) with 403.

    A Host that is an IP address always passes: rebinding needs a name. So does the server's own origin.
    """

    def __init__(self, app: ASGIApp, server: ServerSettings) -> None:
        self._app = app
        self._hosts = {host.lower().strip("[]") for host in server.allowed_hosts}
        self._origins = origin_pattern(server.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            problem = self._problem(headers.getlist("host"), headers.get("origin"), scope.get("scheme", "http"))
            if problem is not None:
                await error_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, hosts: list[str], origin: str | None, scheme: str) -> VisionCraftError | None:
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_ours(host):
            return Forbidden("This server does not answer to that Host; add it to server.allowed_hosts")
        if origin is None or origin == f"{scheme}://{host}" or self._origins.fullmatch(origin):
            return None
        return Forbidden("Requests from that Origin are refused; add it to server.cors_origins")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return "*" in self._hosts or name in self._hosts or _is_address(name)


class TokenGuard:
    """Asks for `Authorization: Bearer <token>` where a token is set.

    Parameters
    ----------
    token: The server's token; None lets everybody in, which `visioncraft serve` allows on a loopback address only.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        if self._token is None or scope["type"] not in ("http", "websocket") or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            await self._app(scope, receive, send)
            return
        error = AuthenticationError("This server needs its token: send Authorization: Bearer <token>")
        await error_response(error)(scope, receive, send)


class CrashGuard:
    """Turns what nobody foresaw into the 500 envelope.

    It stands inside CORS, so that a page's script can read the envelope, and swallows the error once it is logged:
    Starlette's own handler raises it again, at which uvicorn drops the connection under the client's next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer 500 when that raises before an answer has begun."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            log.exception("%s %s failed", scope["method"], scope["path"])
            error = VisionCraftError("The server failed on this request; its log has the reason")
            await error_response(error)(scope, receive, send)


class DocsPolicy:
    """Keeps `/docs` and `/redoc` to this server: ReDoc would fetch its maker's logo from the network."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with a Content-Security-Policy on the two pages."""

        async def kept_here(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = _DOCS_POLICY
            await send(message)

        ours = scope["type"] == "http" and scope["path"] in ("/docs", "/redoc")
        await self._app(scope, receive, kept_here if ours else send)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(f"{DOCS_ASSETS}/")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

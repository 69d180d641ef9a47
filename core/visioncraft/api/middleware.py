"""Who may talk to the server, and how much: plain ASGI middleware, so that streaming and hang-ups pass untouched."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visioncraft.access.keys import AccessKeys
from visioncraft.api.dialects import refuse
from visioncraft.api.links import local_path
from visioncraft.api.origins import origin_pattern
from visioncraft.credentials import credentials, is_among
from visioncraft.errors import AuthenticationError, ConfigurationError, Forbidden, VisionCraftError
from visioncraft.settings import ServerSettings
from visioncraft.token import Token
from visioncraft.types.identity import Authenticator, Identity, identity_of_request

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/", "/health", "/health/live", "/health/ready", "/docs", "/redoc", "/openapi.json"})
"""What answers without a token: nothing of the user's is in it."""

_DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; worker-src blob:; frame-ancestors 'none'"
)

DOCS_ASSETS = "/docs-assets"
"""Where the scripts and styles of `/docs` and `/redoc` are; open like the pages themselves."""


_HOST = re.compile(r"(\[[0-9a-f:.]+(?:%[\w.~-]+)?\]|[\w.-]+)(?::\d{0,5})?", re.ASCII | re.IGNORECASE)
"""Name or address, and port; nothing else that a URL may have before its path."""

_ORIGIN_SCHEMES = {"ws": "http", "wss": "https"}


class HostAndOriginGuard:
    """Refuses foreign Host headers (DNS rebinding) and foreign Origins (other sites' pages) with 403.

    A Host that is an IP address always passes: rebinding needs a name. So does a request of HTTP/1.0 that has none,
    which no browser sends, and the server's own origin.
    """

    def __init__(self, app: ASGIApp, server: ServerSettings) -> None:
        self._app = app
        self._hosts = {host.lower().strip("[]") for host in server.allowed_hosts}
        self._origins = origin_pattern(server.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            problem = self._problem(headers.getlist("host"), headers.getlist("origin"), scope.get("scheme", "http"))
            if problem is not None:
                await refuse(problem, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, hosts: list[str], origins: list[str], scheme: str) -> VisionCraftError | None:
        if len(hosts) > 1 or not all(map(self._is_ours, hosts)):
            return Forbidden("This server does not answer to that Host; add it to server.allowed_hosts")
        own = {f"{_ORIGIN_SCHEMES.get(scheme, scheme)}://{host}" for host in hosts}
        if all(origin in own or self._origins.fullmatch(origin) for origin in origins):
            return None
        return Forbidden("Requests from that Origin are refused; add it to server.cors_origins")

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower().strip("[]")
        return "*" in self._hosts or name in self._hosts or _is_address(name)


class TokenGuard:
    """Asks for the token or an access key, in any header that `credentials` reads, or for what a plugin knows.

    Args:
        app: What is guarded.
        token: The server's token.
        guarded: Whether the server asks who somebody is. Where it does not everybody is let in, which `visioncraft
            serve` allows on a loopback address only.
        authenticators: Ways to know people, asked in turn where the token does not fit: the access keys, and plugins'.
        is_opened: Whether everybody may see what a request asks for: as it is the server's own page, by a plugin's
            leave, or by a signed URL.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: Token,
        guarded: Callable[[], bool],
        authenticators: Sequence[Authenticator],
        is_opened: Callable[[Scope], bool] = lambda scope: False,
    ) -> None:
        self._app = app
        self._token, self._authenticators, self._is_opened = token, authenticators, is_opened
        self._guarded = guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        if scope["type"] not in ("http", "websocket") or await self._is_let_in(scope):
            known = identity_of_request.set(scope.get("state", {}).get("identity"))
            try:
                await self._app(scope, receive, send)
            finally:
                identity_of_request.reset(known)
            return
        await refuse(_unknown(bool(credentials(Headers(scope=scope)))), scope, receive, send)

    async def _is_let_in(self, scope: Scope) -> bool:
        """Whether a request may pass; who it is from is in its state then."""
        token = self._token.current()
        if not self._guarded() or self._is_opened(scope):
            return True
        state = scope.setdefault("state", {})
        headers = Headers(scope=scope)
        if token and is_among(token, credentials(headers)):
            state["token_mark"] = hashlib.sha256(token.encode()).hexdigest()[:8]
            return True
        if (identity := await self._identity(headers)) is not None:
            state["identity"] = identity
            return True
        return False

    async def _identity(self, headers: Headers) -> Identity | None:
        """Who an authenticator says that is; one that fails knows nobody."""
        for authenticator in self._authenticators:
            try:
                found = await authenticator.authenticate(dict(headers))
            except Exception:
                log.exception("an authenticator failed; it is passed over")
                continue
            if found is not None:
                return found
        return None


class Guarded:
    """Whether the server asks who somebody is.

    Args:
        token: The server's token.
        keys: The access keys: once there is one, nobody is let in without.
        others: Whether plugins know people.
    """

    def __init__(self, token: Token, keys: AccessKeys, others: bool) -> None:
        self._token, self._keys, self._others = token, keys, others

    def __call__(self) -> bool:
        """Whether it does now; also where the file of keys cannot be read."""
        if self._others or self._token.current() is not None:
            return True
        try:
            return self._keys.any()
        except ConfigurationError:
            log.exception("nobody is let in until the keys can be read")
            return True


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
            await refuse(error, scope, receive, send)


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

        ours = scope["type"] == "http" and local_path(scope) in ("/docs", "/redoc")
        await self._app(scope, receive, kept_here if ours else send)


def _unknown(given: bool) -> AuthenticationError:
    """A token that is wrong reads otherwise than one that is missing."""
    if given:
        words = "That is neither this server's token nor a key that counts: send one as Authorization: Bearer <token>"
        return AuthenticationError(words, token="wrong")  # noqa: S106 - a word about it
    words = "This server needs its token or a key: send Authorization: Bearer <token or key>"
    return AuthenticationError(words, token="missing")  # noqa: S106 - a word about it


def is_open(path: str) -> bool:
    """Whether the API itself answers a path without a token."""
    return path in OPEN_PATHS or path.startswith(f"{DOCS_ASSETS}/")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""What a request says of the way it came: a proxy's headers, a prefix, a target with a host in it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from visioncraft.api.links import prefix
from visioncraft.settings import PREFIX, ServerSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PREFIX = re.compile(PREFIX)
_SCHEMES = {"http": ("http", "ws"), "https": ("https", "wss")}


class Forwarded:
    """Sets client, scheme, Host and prefix of a request to what holds at its client's end.

    `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are believed of `server.trusted_proxies` alone: anybody can send
    them. A prefix is also taken from a client on this machine, where `server.root_path` names none: it changes nothing
    but the links in the answer to the one who sent it. Routes and guards go by the path without it.
    """

    def __init__(self, app: ASGIApp, server: ServerSettings) -> None:
        self._app = app
        self._proxies = server.trusted_proxies
        self._root = server.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; the scope is changed in place, so that who logs the request sees the same."""
        if scope["type"] in ("http", "websocket"):
            _split_absolute_target(scope)
            headers, peer = Headers(scope=scope), _address((scope.get("client") or [""])[0])
            trusted = self._trusts(peer)
            near = peer is not None and peer.is_loopback and not self._root
            under = (_prefix_of(headers) if trusted or near else None) or self._root
            if trusted:
                self._believe(scope, headers)
            _put_under(scope, under)
            prefix.set(under)
        await self._app(scope, receive, send)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._proxies)

    def _believe(self, scope: Scope, headers: Headers) -> None:
        if client := self._client(headers):
            scope["client"] = (str(client), 0)
        schemes = _SCHEMES.get(_last(headers, "x-forwarded-proto").lower())
        if schemes:
            scope["scheme"] = schemes[scope["type"] == "websocket"]
        if host := _last(headers, "x-forwarded-host"):
            _set_host(scope, host.encode("latin-1"))

    def _client(self, headers: Headers) -> Address | None:
        """The address that the outermost trusted proxy saw: each adds the one that it was asked by on the right."""
        client = None
        for said in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
            address = _address(said)
            client = address or client
            if not self._trusts(address):
                break
        return client


def _address(text: str) -> Address | None:
    """An IP address, also with a port; one of IPv4 that came over IPv6 is the IPv4 address."""
    text = text.strip()
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    try:
        found = ipaddress.ip_address(bare.partition(":")[0] if bare.count(":") == 1 else bare)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _last(headers: Headers, name: str) -> str:
    """The value that the nearest proxy has set."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _prefix_of(headers: Headers) -> str | None:
    said = _last(headers, "x-forwarded-prefix").rstrip("/")
    return said if said and _PREFIX.fullmatch(said) else None


def _put_under(scope: Scope, root: str) -> None:
    """Have the path begin with the prefix, as ASGI wants it, whether the proxy has taken it away or not."""
    path = scope["path"]
    scope["root_path"] = root
    if not root or path.startswith(f"{root}/"):
        return
    more = "/" if path == root else ""
    scope["path"] = path + more if more else root + path
    raw = scope.get("raw_path")
    if raw is not None:
        scope["raw_path"] = raw + more.encode() if more else root.encode() + raw


def _split_absolute_target(scope: Scope) -> None:
    """Of `GET http://host/path` keep the path; its host takes the place of the header (RFC 9112, 3.2.2)."""
    found = _ABSOLUTE.fullmatch(scope.get("raw_path") or b"")
    if found is not None:
        scope["raw_path"] = found[2] or b"/"
        scope["path"] = unquote(scope["raw_path"].decode("ascii"))
        _set_host(scope, found[1])


def _set_host(scope: Scope, host: bytes) -> None:
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    scope["headers"] = [(b"host", host), *others]

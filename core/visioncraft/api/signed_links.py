"""URLs that open one image to whoever has them, for a limited time: for clients and pages that can send no header."""

from __future__ import annotations

import copy
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from visioncraft.api.links import link, local_path
from visioncraft.token import Token

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

_IMAGE = re.compile(r"/images/[a-z0-9_]{1,64}(/thumbnail)?")
"""What may be opened: one image, or its thumbnail."""

_DIGITS = 32  # hexadecimal ones of a signature: 128 bits


class SignedLinks:
    """Signs paths of images, and knows its own signatures again.

    The key comes from the server's token, so that servers with one token open each other's URLs, and a new token makes
    all earlier URLs worthless. Without a token, where keys or plugins say who may come in, it lasts as long as the
    process.

    Args:
        token: The server's.
        is_guarded: Whether the server asks who somebody is.
    """

    def __init__(self, token: Token, is_guarded: Callable[[], bool]) -> None:
        self._token, self._is_guarded = token, is_guarded
        self._own_key = secrets.token_bytes(32)
        self._port: int | None = None

    def from_elsewhere(self, port: int) -> SignedLinks:
        """The same for requests that come to another port than the API's, where the images are not.

        Args:
            port: The API's own, to which URLs lead; 0 where nobody knows it yet, and a URL has the request's.
        """
        links = copy.copy(self)
        links._port = port or None
        return links

    def url(self, request: Request, path: str, lifetime_s: float) -> str:
        """The absolute URL of a path, signed where the server asks who somebody is.

        Args:
            request: Whose scheme, host and port the URL has.
            path: As routes have it, without a proxy's prefix.
            lifetime_s: Seconds from now for which a signature counts.
        """
        here = request.url.replace(port=self._port) if self._port else request.url
        url = f"{here.scheme}://{here.netloc}{link(path)}"
        if not self._is_guarded():
            return url
        expires = str(int(time.time() + lifetime_s))
        return f"{url}?{urlencode({'exp': expires, 'sig': self._signature(path, expires)})}"

    def opens(self, scope: Scope) -> bool:
        """Whether a request asks for an image with a signature that still counts."""
        path = local_path(scope)
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not _IMAGE.fullmatch(path):
            return False
        given = parse_qs(scope["query_string"].decode("latin-1"))
        expires, signature = given.get("exp", [""])[0], given.get("sig", [""])[0]
        if not (expires.isascii() and expires.isdigit() and len(expires) < 16 and int(expires) >= time.time()):
            return False
        return hmac.compare_digest(signature.encode(), self._signature(path, expires).encode())

    def _signature(self, path: str, expires: str) -> str:
        """HMAC-SHA256 (RFC 2104) of what is opened and until when."""
        token = self._token.current()
        key = hashlib.sha256(b"visioncraft-links:" + token.encode()).digest() if token else self._own_key
        return hmac.new(key, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()[:_DIGITS]

"""Logins of browsers: a signed cookie stands for the token, since images and event streams can send no header."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from starlette.requests import cookie_parser
from visioncraft import Identity, Service, credentials

PURPOSE = "page sessions"
"""What the server's signing key is asked for."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to be set.

    Args:
        name: With the port in it: browsers send a host's cookies to all of its ports.
        value: When it ends, a random name, the access key where it stands for one, and the signature over all of that.
        lifetime_s: Seconds until it ends.
    """

    name: str
    value: str
    lifetime_s: int


@dataclass(frozen=True, slots=True)
class _Login:
    """What a cookie says, once its signature is good."""

    name: str
    until: int
    key: str


@dataclass(slots=True)
class Sessions:
    """Makes cookies and knows them again; a `visioncraft.Authenticator`.

    Nothing is kept but who logged out: the signature says that the server made a cookie, and it ends with the token
    that it was signed with. One that stands for an access key holds the key, and may do what the key may: it ends when
    that is revoked.

    Args:
        service: Signs, and knows access keys.
        lifetime_s: How long a login lasts, in seconds.
    """

    service: Service
    lifetime_s: int
    _ended: dict[str, int] = field(default_factory=dict)
    asks_everybody: ClassVar[bool] = False

    async def log_in(self, headers: Mapping[str, str]) -> Cookie | None:
        """A new login for the token or the key that a request shows; None where it shows none that counts.

        What let a request in may be something else that it shows too: a login of before, or what another plugin knows.

        Args:
            headers: Of the request, their names in lower case.
        """
        for shown in credentials(headers):
            identity = await self.service.identify(_bearer(shown))
            if identity is not None:
                return self._begin(headers, shown if identity.name else "")
        return None

    def log_out(self, headers: Mapping[str, str]) -> Cookie:
        """Know the login of a request no more, for as long as this process runs; answers what takes its cookie away."""
        now = int(time.time())
        self._ended = {name: until for name, until in self._ended.items() if until > now}
        if (found := self._found(headers)) is not None:
            self._ended[found.name] = found.until
        return Cookie(cookie_name(headers), "", 0)

    async def authenticate(self, headers: Mapping[str, str]) -> Identity | None:
        """Who that is. A login counts for requests of this server's own page alone, whatever `SameSite` lets through.

        Args:
            headers: Of the request, their names in lower case.
        """
        if not _is_from_here(headers) or (found := self._found(headers)) is None:
            return None
        if found.key:
            return await self.service.identify(_bearer(found.key))
        return Identity(f"page-{found.name[:6]}")

    def _begin(self, headers: Mapping[str, str], key: str) -> Cookie:
        """A cookie for an access key; for the server's token where `key` is empty."""
        said = f"{int(time.time()) + self.lifetime_s}.{secrets.token_hex(16)}.{key.encode().hex()}"
        return Cookie(cookie_name(headers), f"{said}.{self._signature(said)}", self.lifetime_s)

    def _found(self, headers: Mapping[str, str]) -> _Login | None:
        """The login of a request, if it counts."""
        value = cookie_parser(headers.get("cookie", "")).get(cookie_name(headers), "")
        said, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(said).encode()):
            return None
        until, name, key = said.split(".")
        login = _Login(name, int(until), bytes.fromhex(key).decode())
        return login if login.until > time.time() and name not in self._ended else None

    def _signature(self, said: str) -> str:
        return hmac.digest(self.service.secret(PURPOSE), said.encode("utf-8", "replace"), "sha256").hex()


def cookie_name(headers: Mapping[str, str]) -> str:
    """The cookie's name for a request, by its `Host`."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"visioncraft_session_{port if port.isascii() and port.isdigit() else 'default'}"


def _bearer(shown: str) -> dict[str, str]:
    """The headers of a request that shows a token or a key, and nothing else."""
    return {"authorization": f"Bearer {shown}"}


def _is_from_here(headers: Mapping[str, str]) -> bool:
    """Whether this server's own page asks, or the address bar.

    Browsers name the page in `Origin` with every request that could change anything, and newer ones say in
    `Sec-Fetch-Site` whose it is. A page of another port is of the same site to them, so `SameSite` would let it in.
    """
    origin = headers.get("origin")
    is_own = origin is None or origin.partition("://")[2] == headers.get("host", "")
    return is_own and headers.get("sec-fetch-site", "none") in ("none", "same-origin")

"""Who somebody is: what an authenticator says of a request."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

EVERYTHING_ALLOWED = frozenset({"all", "admin"})
"""Scopes that stand for every other."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who is known.

    Args:
        name: As jobs name their caller; callers take turns.
        scopes: What they may do; `all` is everything, and so is `admin`.
        owner: Whose jobs and images theirs are; empty for their own name.
        models: The only models that they may use; empty for all.
    """

    name: str
    scopes: frozenset[str] = frozenset({"all"})
    owner: str = ""
    models: frozenset[str] = frozenset()

    def may(self, scope: str) -> bool:
        """Whether they have a scope.

        .. versionadded:: 1.1
        """
        return scope in self.scopes or bool(self.scopes & EVERYTHING_ALLOWED)

    @property
    def sees_all(self) -> bool:
        """Whether other people's jobs and images are theirs to see.

        .. versionadded:: 1.1
        """
        return self.may("jobs:all")

    @property
    def whose(self) -> str:
        """What their jobs and images are kept under.

        .. versionadded:: 1.1
        """
        return self.owner or self.name


identity_of_request: ContextVar[Identity | None] = ContextVar("identity_of_request", default=None)
"""Who sent the request that is being answered; None where everybody may do everything, and where no request is."""


@runtime_checkable
class Authenticator(Protocol):
    """Knows people by the headers of their requests.

    Where there is one, nobody comes in unknown, on loopback too. One that only remembers whom the token or an access
    key let in says `asks_everybody = False`, and changes nothing about that (since plugin API 1.1).
    """

    async def authenticate(self, headers: Mapping[str, str]) -> Identity | None:
        """Who that is; None for nobody that this authenticator knows.

        Called in the event loop for each request without the server's token, so it must be quick and must not block.

        Args:
            headers: Of the request, their names in lower case.
        """

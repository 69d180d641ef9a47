"""Who somebody is: what an authenticator says of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who is known.

    Args:
        name: As jobs name their caller; callers take turns.
        scopes: What they may do; `all` is everything. Kept for routes that ask for a scope.
        owner: Whose jobs and images theirs are; empty for their own.
    """

    name: str
    scopes: frozenset[str] = frozenset({"all"})
    owner: str = ""


@runtime_checkable
class Authenticator(Protocol):
    """Knows people by the headers of their requests."""

    async def authenticate(self, headers: Mapping[str, str]) -> Identity | None:
        """Who that is; None for nobody that this authenticator knows.

        Called in the event loop for each request without the server's token, so it must be quick and must not block.

        Args:
            headers: Of the request, their names in lower case.
        """

"""The secrets that a request shows, by whatever header its program sends them in."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
"""Headers that hold nothing but a key: many programs', Azure's, and Google's."""


def credentials(headers: Mapping[str, str]) -> list[str]:
    """The tokens or keys that a request may mean, in the order in which they are to be tried.

    `Authorization` counts as Bearer (RFC 6750) and as Basic (RFC 7617), where the password is the key, or the user's
    name and the password together are. A header that holds nothing counts as none: many programs always send it.

    Args:
        headers: Of the request, their names in lower case.
    """
    scheme, _, given = headers.get("authorization", "").strip().partition(" ")
    found = _of_basic(given) if scheme.lower() == "basic" else [given.strip()] if scheme.lower() == "bearer" else []
    found += [headers.get(name, "").strip() for name in KEY_HEADERS]
    return [each for each in found if each]


def is_among(token: str, given: Sequence[str]) -> bool:
    """Whether the token was given; how long a comparison takes says nothing about it."""
    return any(hmac.compare_digest(each.encode("utf-8", "replace"), token.encode()) for each in given)


def _of_basic(given: str) -> list[str]:
    """Password, then both; nothing where that is no Basic."""
    try:
        both = base64.b64decode(given.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return []
    user, _, password = both.partition(":")
    return [password, both] if user else [password]

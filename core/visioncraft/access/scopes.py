"""Scopes: what keys are for, and the check that stands before whatever asks for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from visioncraft.errors import ConfigurationError, Forbidden
from visioncraft.types.identity import Identity, identity_of_request

SCOPES: Mapping[str, str] = {
    "generate": "draw from text, and watch and cancel one's own jobs",
    "edit": "draw from images too: image to image, masks, ControlNet, references",
    "gallery:read": "see and export images: one's own, or all with jobs:all",
    "gallery:write": "mark and delete them",
    "models:read": "see models, the server's state and its queue",
    "models:write": "load models",
    "jobs:all": "other people's jobs and images too, and the queue's pause",
    "admin": "everything, keys and plugins among it",
}
"""Every scope and what it is for, as `visioncraft keys create --help` shows it."""

USUAL = ("generate", "edit", "gallery:read", "gallery:write", "models:read")
"""What a key is for unless its maker says otherwise."""


def checked_scopes(names: Collection[str]) -> frozenset[str]:
    """The scopes of these names. Raises `ConfigurationError` for one that there is not."""
    if unknown := sorted(set(names) - set(SCOPES)):
        raise ConfigurationError(f"there is no scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
    return frozenset(names)


def require(scope: str) -> None:
    """Refuse whoever sent the request that is being answered where they have no such scope.

    What runs for no request, as a plugin's own task, may do everything; so may whoever has the server's token.

    Raises:
        Forbidden: The key has not that scope.
    """
    identity = identity_of_request.get()
    if identity is not None and not identity.may(scope):
        raise missing(identity, scope)


def missing(identity: Identity, scope: str) -> Forbidden:
    """What to tell somebody whose key lacks a scope."""
    words = f"The key {identity.name!r} has not the scope {scope}; visioncraft keys create --scopes makes one that has"
    return Forbidden(words, scope=scope)

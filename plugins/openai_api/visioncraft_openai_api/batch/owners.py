"""Whose files and batches are, where people have keys of their own, and acting for who is not there any more."""

from __future__ import annotations

from typing import Any

import orjson
from visioncraft import Identity, identity_of_request


def owner_now() -> str:
    """Whose what is sent now is; empty where everybody's is everybody's."""
    identity = identity_of_request.get()
    return identity.whose if identity is not None else ""


def only_of() -> str | None:
    """Whose alone whoever asks now may see; None for everybody's."""
    identity = identity_of_request.get()
    return None if identity is None or identity.sees_all else identity.whose


def identity_written() -> str | None:
    """Whoever asks now, as the database keeps them."""
    identity = identity_of_request.get()
    if identity is None:
        return None
    sets = {"scopes": sorted(identity.scopes), "models": sorted(identity.models)}
    return orjson.dumps({"name": identity.name, "owner": identity.owner, **sets}).decode()


def act_for(written: str | None) -> None:
    """Have what this task does count as theirs: they may draw what they might, and the images are theirs.

    Args:
        written: What `identity_written` said of them.
    """
    kept: dict[str, Any] | None = orjson.loads(written) if written is not None else None
    if kept is None:
        identity_of_request.set(None)
    else:
        sets = {name: frozenset(kept[name]) for name in ("scopes", "models")}
        identity_of_request.set(Identity(kept["name"], owner=kept["owner"], **sets))

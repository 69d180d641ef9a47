"""Paths under which clients reach this server: behind a proxy they may have a prefix that routes do not know."""

from __future__ import annotations

from contextvars import ContextVar

from starlette.types import Scope

prefix: ContextVar[str] = ContextVar("prefix", default="")
"""The prefix of the request that is being answered, as `/studio`; set by `proxies.Forwarded` for each."""


def link(path: str) -> str:
    """A path of this server as the client of this request has to ask for it."""
    return prefix.get() + path


def local_path(scope: Scope) -> str:
    """The path that is asked for, without the prefix: what routes are matched by."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path

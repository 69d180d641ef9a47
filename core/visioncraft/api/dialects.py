"""Dialects of plugins: which requests are theirs, and their own answers to errors in place of the API's envelope."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence

from fastapi import Request, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from visioncraft.api.errors import Handler, domain_error, error_response
from visioncraft.api.links import local_path
from visioncraft.api.methods import allowed
from visioncraft.errors import MethodNotAllowed, VisionCraftError
from visioncraft.plugins.service import Dialect

log = logging.getLogger(__name__)


class Dialects:
    """All dialects that plugins have brought, by their routes.

    Args:
        only: The one that is spoken whatever is asked for, on a port of its own.
    """

    def __init__(self, only: Dialect | None = None) -> None:
        self._only = only
        self._known: list[tuple[Dialect, list[BaseRoute]]] = [(only, [])] if only else []

    def add(self, dialect: Dialect, routes: Sequence[BaseRoute]) -> None:
        """Have a dialect's routes answer errors in its own form.

        Args:
            dialect: What the plugin has handed over.
            routes: Its routes as the application has them.
        """
        self._known.append((dialect, list(routes)))

    def errors_or(self, handler: Handler) -> Handler:
        """A handler of errors that has a dialect answer its own, and `handler` all others."""

        async def handle(request: Request, error: Exception) -> Response:
            dialect = self.of(request.scope) if self._known and request.scope["type"] == "http" else None
            if dialect is None or dialect.errors is None:
                return await handler(request, error)
            return await _answer(dialect, request, domain_error(request, error))

        return handle

    def of(self, scope: Scope) -> Dialect | None:
        """The dialect that a request speaks; None for the API's own."""
        if self._only is not None:
            return self._only
        path = local_path(scope)
        for dialect, routes in self._known:
            prefix = dialect.router.prefix if dialect.router is not None else ""
            if prefix and path.startswith(f"{prefix}/"):
                return dialect
            if any(route.matches(scope)[0] is not Match.NONE for route in routes):
                return dialect
        return None

    @property
    def home(self) -> str | None:
        """The page to which a browser is sent that asks for `/`."""
        return next((dialect.home for dialect, _ in self._known if dialect.home), None)

    def request_size(self, scope: Scope) -> int | None:
        """The bound of a request's body that its dialect states; None where it states none."""
        dialect = self.of(scope) if self._known else None
        return dialect.request_size if dialect else None

    def is_kept_on_disk(self, scope: Scope) -> bool:
        """Whether a request's body goes to disk as it comes, so that none of it waits in memory."""
        dialect = self.of(scope) if self._known else None
        return dialect is not None and dialect.to_disk

    def is_opened(self, scope: Scope) -> bool:
        """Whether the dialect that a request speaks lets everybody see what it asks for: no plugin opens another's."""
        dialect = self.of(scope) if self._known else None
        if dialect is None:
            return False
        path, method = local_path(scope), scope.get("method", "")
        return any(_opens(each, method, path) for each in dialect.open_paths)


def _opens(opened: str, method: str, path: str) -> bool:
    """Whether one of a dialect's open paths, as `/page/` or `OPTIONS /draw`, lets a request in."""
    only, _, opened_path = opened.rpartition(" ")
    fits = path == opened_path or (opened_path.endswith("/") and path.startswith(opened_path))
    return fits and only in ("", method)


async def refuse(error: VisionCraftError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an error that a guard raises before any route is asked, in the form that the client understands."""
    dialects: Dialects | None = getattr(getattr(scope.get("app"), "state", None), "dialects", None)
    dialect = dialects.of(scope) if dialects is not None and scope["type"] == "http" else None
    if dialect is None or dialect.errors is None:
        answer = error_response(error)
    else:
        answer = await _answer(dialect, Request(scope, receive), error)
    await answer(scope, receive, send)


async def _answer(dialect: Dialect, request: Request, error: VisionCraftError) -> Response:
    """A dialect's answer to an error; the API's envelope where the plugin fails at that."""
    assert dialect.errors is not None  # noqa: S101 - for mypy: only such dialects are asked
    try:
        made = dialect.errors(request, error)
        answer = await made if inspect.isawaitable(made) else made
        if isinstance(error, MethodNotAllowed):  # which has to say what is (RFC 9110, 15.5.6)
            answer.headers["Allow"] = allowed(request.app, request.scope)
        return answer
    except Exception:
        log.exception("a dialect could not answer an error; the API's own form takes its place")
        return error_response(error)

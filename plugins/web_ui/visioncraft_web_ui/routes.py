"""Logging in and out: the token becomes a cookie that scripts cannot read."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from visioncraft import Service

from visioncraft_web_ui.sessions import Cookie, Sessions


class SessionAnswer(BaseModel):
    """Whether this browser may use the API.

    Args:
        needed: Whether the server asks for its token or a key.
        known: Whether this browser may come in.
        caller: By which name its jobs go; empty for nobody known.
    """

    needed: bool
    known: bool
    caller: str


def routes(sessions: Sessions, service: Service) -> APIRouter:
    """The routes of logins.

    Args:
        sessions: Makes the cookies, and knows them again.
        service: Says whether the server asks anybody, and names callers.
    """
    router = APIRouter(tags=["page"])

    @router.get("/app", include_in_schema=False)
    async def page() -> RedirectResponse:
        """The page's own address ends in a slash."""
        return RedirectResponse("app/")

    @router.get("/app/session")
    async def session(request: Request) -> SessionAnswer:
        """Whether this browser may use the API; answered without a token, so that a page knows what to show."""
        if await service.identify({}) is not None:
            return SessionAnswer(needed=False, known=True, caller=service.caller_of(request))
        identity = await sessions.authenticate(request.headers)
        return SessionAnswer(needed=True, known=identity is not None, caller=identity.name if identity else "")

    @router.post("/session", status_code=204)
    async def log_in(request: Request) -> Response:
        """Log this browser in. Who comes here has shown the token or a key already, as any request has to."""
        login = await sessions.log_in(request.headers)
        return _answer(request, login) if login else Response(status_code=204)

    @router.delete("/session", status_code=204)
    async def log_out(request: Request) -> Response:
        """Log this browser out."""
        return _answer(request, sessions.log_out(request.headers))

    return router


def _answer(request: Request, cookie: Cookie) -> Response:
    """Sets a cookie that scripts cannot read and that no other site's page can send."""
    answer = Response(status_code=204)
    answer.set_cookie(
        cookie.name,
        cookie.value,
        max_age=cookie.lifetime_s,
        path=request.scope.get("root_path", "") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer

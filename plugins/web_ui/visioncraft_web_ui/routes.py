"""Logging in and out: the token becomes a cookie that scripts cannot read."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from visioncraft import Service, credentials

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
        sessions: Makes the cookies.
        service: Names callers.
    """
    router = APIRouter(tags=["page"])

    @router.get("/app", include_in_schema=False)
    async def page() -> RedirectResponse:
        """The page's own address ends in a slash."""
        return RedirectResponse("app/")

    @router.get("/app/session")
    async def session(request: Request) -> SessionAnswer:
        """Whether this browser may use the API; answered without a token, so that a page knows what to show."""
        needed = await service.identify({}) is None
        identity = await sessions.authenticate(request.headers) if needed else None
        known = not needed or identity is not None
        caller = identity.name if identity else service.caller_of(request) if known else ""
        return SessionAnswer(needed=needed, known=known, caller=caller)

    @router.post("/session", status_code=204)
    async def log_in(request: Request) -> Response:
        """Log this browser in. Who comes here has shown the token or a key already, as any request has to."""
        answer = Response(status_code=204)
        if shown := credentials(request.headers):
            is_key = getattr(request.state, "identity", None) is not None
            _set(answer, sessions.begin(request.headers.get("host", ""), shown[0] if is_key else ""), request)
        return answer

    @router.delete("/session", status_code=204)
    async def log_out(request: Request) -> Response:
        """Log this browser out."""
        sessions.end(request.headers)
        answer = Response(status_code=204)
        _set(answer, Cookie(sessions.begin(request.headers.get("host", "")).name, "", 0), request)
        return answer

    return router


def _set(answer: Response, cookie: Cookie, request: Request) -> None:
    """Set a cookie that scripts cannot read and that no other site's page can send."""
    answer.set_cookie(
        cookie.name,
        cookie.value,
        max_age=cookie.lifetime_s,
        path=request.scope.get("root_path", "") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )

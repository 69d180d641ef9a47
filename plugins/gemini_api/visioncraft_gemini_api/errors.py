"""Errors as Google's clients read them: `{"error": {"code", "message", "status", "details"}}`.

Its own client asks again, where it was told to, after 408, 429 and most from 500 on. So what would draw or cost a
second time is answered with a status that is none of these.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
from fastapi import Request, Response
from visioncraft import (
    InvalidRequest,
    JobCancelled,
    ModelNotAvailable,
    UpstreamError,
    VisionCraftError,
    status_of,
    whole_message,
)

_CANCELLED, _BEGUN = 499, 424
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    _BEGUN: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    _CANCELLED: "CANCELLED",
    503: "UNAVAILABLE",
}
_SOON_S = 2  # how long to wait where nobody knows


def answer(request: Request, error: VisionCraftError) -> Response:
    """Make the answer of an error, of routes and of guards.

    Args:
        request: Whose; its state says whether images were drawn before the error.
        error: What went wrong.
    """
    status = _status(error, bool(getattr(request.state, "gemini_drawn", False)))
    wait = max(1, math.ceil(getattr(error, "retry_after", _SOON_S)))
    body = {
        "code": status,
        "message": _message(error),
        "status": _STATUSES.get(status, "INTERNAL"),
        "details": _details(error, status, wait),
    }
    headers = {"Retry-After": str(wait)} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps({"error": body}), status, headers, "application/json")


def _status(error: VisionCraftError, drawn: bool) -> int:
    if isinstance(error, JobCancelled):
        return _CANCELLED
    return _BEGUN if drawn or isinstance(error, UpstreamError) else status_of(error)


def _message(error: VisionCraftError) -> str:
    """One sentence with everything in it: these clients show nothing else."""
    words = whole_message(error)
    models = error.available_models if isinstance(error, ModelNotAvailable) else ()
    return f"{words}. There are: {', '.join(models)}" if models else words


def _details(error: VisionCraftError, status: int, wait: int) -> list[dict[str, Any]]:
    """The field at fault, or when to come back, in the types that clients of Google know."""
    if isinstance(error, InvalidRequest):
        violation = {"field": error.details["field"], "description": error.details["issue"]}
        return [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    if status == 429:
        return [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}]
    return []

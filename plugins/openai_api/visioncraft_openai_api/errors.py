"""Errors as the protocol's clients read them, and whether those clients may ask again."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import Request, Response
from visioncraft import (
    InvalidRequest,
    JobCancelled,
    ModelNotAvailable,
    RateLimitExceeded,
    Service,
    UpstreamError,
    VisionCraftError,
    status_of,
    whole_message,
)

from visioncraft_openai_api.fields import name_sent

LONGEST_WAIT_S = 60
"""The longest Retry-After: what is past it some clients do not wait for, and others take for a reason to give up."""

_BEGUN = 424  # Failed Dependency: no client asks again after it by itself
_SOON_S = 2  # how long to wait where nobody knows
_CODES = {
    "AUTHENTICATION_ERROR": "invalid_api_key",
    "MODEL_NOT_AVAILABLE": "model_not_found",
    "VALIDATION_ERROR": "invalid_value",
}
_TYPES = {401: "authentication_error", 403: "permission_error", 424: "upstream_error", 429: "rate_limit_error"}


def errors_of(service: Service) -> Callable[[Request, VisionCraftError], Awaitable[Response]]:
    """What makes the answer of an error, of routes and of guards.

    Args:
        service: Knows whether the job behind a request has drawn or paid for anything.
    """

    async def answer(request: Request, error: VisionCraftError) -> Response:
        job = getattr(request.state, "openai_job", None)
        begun = job is not None
        drawn = begun and await _has_drawn(service, str(job))
        status = error_status(error, drawn)
        headers = _headers(error, status, begun, drawn)
        if begun:
            headers["X-Job-Id"] = str(job)
        body = error_document(error, getattr(request.state, "openai_sent", frozenset()))
        return Response(orjson.dumps(body, default=str), status, headers, media_type="application/json")

    return answer


def error_status(error: VisionCraftError, drawn: bool = False) -> int:
    """The status of an error.

    Clients ask again by themselves after 408, 409, 429 and all from 500 on, some of them whatever the answer says. So
    a job that was cancelled, and one that has cost something, is answered with a status that none of them repeats.

    Args:
        error: The error.
        drawn: Whether its job has images already.
    """
    if isinstance(error, JobCancelled):
        return 400
    return _BEGUN if drawn or isinstance(error, UpstreamError) else status_of(error)


def error_document(error: VisionCraftError, sent: frozenset[str] = frozenset()) -> dict[str, Any]:
    """An error as the protocol has it.

    Args:
        error: The error.
        sent: The names of the fields that the client used, so that the one at fault is called as he calls it.

    Returns:
        The document: message, type, param and code.
    """
    param = name_sent(str(error.details["field"]), sent) if isinstance(error, InvalidRequest) else None
    status = error_status(error)
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return {
        "error": {
            "message": _message(error, param),
            "type": kind,
            "param": "model" if isinstance(error, ModelNotAvailable) else param,
            "code": _CODES.get(error.code, error.code.lower()),
        }
    }


def _message(error: VisionCraftError, param: str | None) -> str:
    """One sentence with everything in it: these clients show nothing else."""
    if isinstance(error, InvalidRequest):
        return f"Invalid '{param}': {error.details['issue']}"
    return whole_message(error)


async def _has_drawn(service: Service, job_id: str) -> bool:
    try:
        return bool((await service.job(job_id)).images)
    except VisionCraftError:
        return False


def _headers(error: VisionCraftError, status: int, begun: bool, drawn: bool) -> dict[str, str]:
    headers: dict[str, str] = {}
    wait = getattr(error, "retry_after", _SOON_S)
    if status in (429, 503):
        headers["Retry-After"] = str(min(LONGEST_WAIT_S, max(1, math.ceil(wait))))
    if begun:
        worth_it = isinstance(error, RateLimitExceeded) and not drawn and wait <= LONGEST_WAIT_S
        headers.update({} if worth_it else {"x-should-retry": "false"})
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers

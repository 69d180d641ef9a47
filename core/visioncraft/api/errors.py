"""One table from domain errors to HTTP, and one envelope for all of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from visioncraft import errors
from visioncraft.api.methods import allowed
from visioncraft.printing import visible, whole_text, without_folders

log = logging.getLogger(__name__)

STATUS: Mapping[str, int] = {
    "VALIDATION_ERROR": 400,
    "AUTHENTICATION_ERROR": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "MODEL_NOT_AVAILABLE": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "CANCELLED": 409,
    "RATE_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "INSUFFICIENT_VRAM": 503,
}
"""The one table: error code to status. A cloud service's code is its own and stands for `UPSTREAM`."""

UPSTREAM = 502

_OF_STATUS = {
    401: "AUTHENTICATION_ERROR",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    503: "SERVICE_UNAVAILABLE",
}

_KIND_OF_STATUS: Mapping[int, type[errors.VisionCraftError]] = {
    401: errors.AuthenticationError,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    503: errors.ServiceUnavailable,
}


def status_of(error: errors.VisionCraftError) -> int:
    """The HTTP status that an error leaves with.

    Args:
        error: Any error of the server; a dialect that has statuses of its own may begin with this one.

    Returns:
        The status; 500 for a code that the table does not know.

    .. versionadded:: 1.1
    """
    return UPSTREAM if isinstance(error, errors.UpstreamError) else STATUS.get(error.code, 500)


def envelope(error: errors.VisionCraftError) -> dict[str, Any]:
    """The contract's error document; what went wrong on this side is told without this machine's folders."""
    known = error.code in STATUS or isinstance(error, errors.UpstreamError)
    body: dict[str, Any] = {"code": error.code if known else "INTERNAL_ERROR", "message": error.message}
    if isinstance(error, errors.ModelNotAvailable):
        body["available_models"] = error.available_models
    if isinstance(error, errors.InsufficientVRAM):
        body |= {"vram_available": error.vram_available, "vram_required": error.vram_required}
    if error.details:
        body["details"] = error.details
    if status_of(error) >= 500:
        body["message"] = without_folders(body["message"])
    return {"error": body}


def whole_message(error: errors.VisionCraftError) -> str:
    """All that an error says, in one text: for clients that show people a message and nothing else.

    Args:
        error: Any error of the server.

    Returns:
        The field and what is wrong with it; else the message, what a cloud service said and the next step.

    .. versionadded:: 1.1
    """
    if isinstance(error, errors.InvalidRequest):
        return f"Invalid {error.details['field']}: {error.details['issue']}"
    words = [str(envelope(error)["error"]["message"])]
    words += [str(error.details[name]) for name in ("api_error", "suggestion") if error.details.get(name)]
    return ". ".join(words)


def error_response(error: errors.VisionCraftError) -> Response:
    """The envelope with its status and headers."""
    return _respond(status_of(error), envelope(error), error_headers(error))


def error_headers(error: errors.VisionCraftError) -> dict[str, str]:
    """The headers that an error's answer needs, whatever its body is like: `Retry-After` and `WWW-Authenticate`.

    Args:
        error: Any error of the server.

    .. versionadded:: 1.1
    """
    headers = {}
    if isinstance(error, errors.RateLimitExceeded | errors.Overloaded):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, errors.AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


Handler = Callable[[Request, Exception], Awaitable[Response]]
"""Answers what a route raised."""


def install(app: FastAPI, foreign: Callable[[Handler], Handler]) -> None:
    """Have every error that routes raise leave in the envelope; `CrashGuard` sees to what nobody foresaw.

    Args:
        app: The application.
        foreign: Has dialects answer errors of their own routes, and the given handler all others.
    """
    app.add_exception_handler(errors.VisionCraftError, foreign(_on_domain_error))
    app.add_exception_handler(RequestValidationError, foreign(_on_validation_error))
    app.add_exception_handler(HTTPException, foreign(_on_http_error))


def _respond(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body, default=str), status, headers, media_type="application/json")


async def _on_domain_error(request: Request, error: Exception) -> Response:
    problem = cast(errors.VisionCraftError, error)
    if envelope(problem)["error"]["message"] != problem.message:
        log.warning("%s %s: %s", request.method, visible(request.url.path), problem.message)
    return error_response(problem)


def domain_error(request: Request, error: Exception) -> errors.VisionCraftError:
    """What a route raised as an error of the domain, for those who answer it in a form of their own."""
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if not isinstance(error, HTTPException):
        return cast(errors.VisionCraftError, error)
    if error.status_code == 400:
        return _unreadable(error)
    kind = _KIND_OF_STATUS.get(error.status_code, errors.VisionCraftError)
    return kind(f"{request.method} {_printable(request.url.path)}: {error.detail}")


async def _on_validation_error(request: Request, error: Exception) -> Response:
    return error_response(_invalid(cast(RequestValidationError, error)))


def _invalid(error: RequestValidationError) -> errors.InvalidRequest:
    """The first field at fault, by its name."""
    first = error.errors()[0]
    field, issue = _field(first["loc"]), str(first["msg"])
    if first["type"] == "json_invalid":
        field, issue = "body", f"not valid JSON: {first.get('ctx', {}).get('error', 'cannot be parsed')}"
    elif field == "body":
        issue = "expected a JSON object with Content-Type: application/json"
    elif first["type"] == "string_too_short":
        issue = f"{field.capitalize()} cannot be empty"
    elif first["type"] == "missing":
        issue = "required, but absent"
    elif first["type"] == "value_error":
        issue = str(first["ctx"]["error"])  # without pydantic's "Value error, " before it
    return errors.InvalidRequest.of(field, _printable(issue))


async def _on_http_error(request: Request, error: Exception) -> Response:
    problem = cast(HTTPException, error)
    if problem.status_code < 400:  # no error, and no body: a route that answers before it begins
        return Response(status_code=problem.status_code, headers=problem.headers)
    if problem.status_code == 400:
        return error_response(_unreadable(problem))
    code = _OF_STATUS.get(problem.status_code, "INTERNAL_ERROR")
    message = f"{request.method} {_printable(request.url.path)}: {problem.detail}"
    headers = dict(problem.headers or {})
    if problem.status_code == 405:
        headers["Allow"] = allowed(request.app, request.scope)
    return _respond(problem.status_code, {"error": {"code": code, "message": message}}, headers)


def _unreadable(problem: HTTPException) -> errors.InvalidRequest:
    issue = _unread(problem.__cause__) or str(problem.detail)
    return errors.InvalidRequest.of("body", issue)


def _unread(cause: BaseException | None) -> str | None:
    """Why a body could not be read, where FastAPI only says that it was not."""
    if isinstance(cause, UnicodeDecodeError):
        byte = f"0x{cause.object[cause.start]:02X} at position {cause.start}"
        return f"not valid {cause.encoding.upper()} (byte {byte}); send JSON as UTF-8"
    if isinstance(cause, RecursionError):
        return "nested too deeply"
    return f"not valid JSON: {cause}" if type(cause) is ValueError else None


def _field(location: tuple[Any, ...]) -> str:
    """`("body", "width")` is `width`; the body as a whole is `body`."""
    named = [str(part) for part in location[1:]] if len(location) > 1 else [str(part) for part in location]
    return _printable(".".join(named)) or "body"


def _printable(text: str) -> str:
    """Lone surrogates and control characters out: the answer must be JSON that every client reads."""
    return whole_text(text).replace("\x00", "")[:500]

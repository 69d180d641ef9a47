"""Errors: as a JSON-RPC answer where a guard refuses a request, and in words for the model where a tool fails."""

from __future__ import annotations

import math

import orjson
from fastapi import Request, Response
from visioncraft import (
    InvalidRequest,
    JobCancelled,
    ModelNotAvailable,
    NotFound,
    VisionCraftError,
    status_of,
    whole_message,
)

_INVALID_REQUEST, _INTERNAL = -32600, -32603  # JSON-RPC 2.0, 5.1


def answer(_request: Request, error: VisionCraftError) -> Response:
    """Make the answer of an error before any tool is called.

    Args:
        error: What went wrong.
    """
    status = status_of(error)
    code = _INTERNAL if status >= 500 else _INVALID_REQUEST
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": whole_message(error)}}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if (wait := _wait_s(error)) is not None:
        headers["Retry-After"] = str(wait)
    return Response(orjson.dumps(body), status, headers, "application/json")


def told(error: VisionCraftError) -> str:
    """What a tool says of an error: what is wrong, and what to do next.

    Args:
        error: What went wrong.
    """
    return f"{whole_message(error).rstrip('.')}. {_next_step(error)}"


def _next_step(error: VisionCraftError) -> str:
    if isinstance(error, InvalidRequest):
        return "Call the tool again with that argument changed"
    if isinstance(error, ModelNotAvailable):
        return f"list_models tells all of them: {', '.join(error.available_models) or 'there is none now'}"
    if isinstance(error, NotFound):
        return "search_gallery finds the ids of images; generate_image answers those of jobs"
    if isinstance(error, JobCancelled):
        return "Nothing was drawn; generate_image begins anew"
    if (wait := _wait_s(error)) is not None:
        return f"Call the tool again in {wait} seconds"
    return "Try once more; if that fails too, tell the user what this message says"


def _wait_s(error: VisionCraftError) -> int | None:
    wait = getattr(error, "retry_after", None)
    return max(1, math.ceil(wait)) if isinstance(wait, int | float) else None

"""Errors as Hugging Face's clients read them: `{"error": "…"}`, and the same words in `X-Error-Message`."""

from __future__ import annotations

import math

import orjson
from fastapi import Request, Response
from visioncraft import ModelNotAvailable, VisionCraftError, status_of, whole_message

_LONGEST_HEADER = 1000  # characters
_SOON_S = 2  # how long to wait where nobody knows


def answer(_request: Request, error: VisionCraftError) -> Response:
    """Make the answer of an error, of routes and of guards.

    Args:
        error: What went wrong.
    """
    status, words = status_of(error), message(error)
    shown = words.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")
    headers = {"X-Error-Message": shown[:_LONGEST_HEADER]}
    if status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(getattr(error, "retry_after", _SOON_S))))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps({"error": words}), status, headers, "application/json")


def message(error: VisionCraftError) -> str:
    """One sentence with everything in it: these clients show nothing else."""
    words = whole_message(error)
    models = error.available_models if isinstance(error, ModelNotAvailable) else ()
    return f"{words}. There are: {', '.join(models)}" if models else words

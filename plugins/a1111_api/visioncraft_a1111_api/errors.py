"""Errors as AUTOMATIC1111's clients read them: `{"error", "detail", "body", "errors"}`, `detail` for people."""

from __future__ import annotations

import orjson
from fastapi import Request, Response
from visioncraft import (
    AuthenticationError,
    InvalidRequest,
    NotFound,
    VisionCraftError,
    error_headers,
    status_of,
    whole_text,
)

NOT_FOUND = "Not Found"
"""The detail that clients know as a server without this API."""


class SamplerNotFound(NotFound):
    """There is no such sampler, in the words that clients know.

    Args:
        why: Which one, and what there is.
    """

    def __init__(self, why: str) -> None:
        super().__init__("Sampler not found", why=why)


class ScriptNotFound(NotFound):
    """There is no such script.

    Args:
        name: What the client calls it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"Script '{name[:80]}' not found", why="scripts of AUTOMATIC1111 do not run here")


class CaptionerNotFound(NotFound):
    """Nothing here looks at an image and says what it shows."""

    def __init__(self) -> None:
        why = "nothing here describes images; one that was drawn with a prompt in its file is answered with that"
        super().__init__("Model not found", why=why)


def answer(_request: Request, error: VisionCraftError) -> Response:
    """Makes the answer to an error, with the status that the API's own has."""
    headers = error_headers(error)
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = 'Basic realm="VisionCraft", charset="UTF-8"'
    document = {
        "error": type(error).__name__,
        "detail": whole_text(_detail(error)),
        "body": "",
        "errors": whole_text(str(error.details.get("why", error.message))),
    }
    return Response(orjson.dumps(document), status_of(error), headers, media_type="application/json")


def _detail(error: VisionCraftError) -> str:
    """What went wrong, in one sentence for people."""
    if isinstance(error, NotFound) and "why" not in error.details:
        return NOT_FOUND
    if isinstance(error, InvalidRequest):
        return f"{error.message}: {error.details['issue']}"
    suggestion = error.details.get("suggestion")
    return f"{error.message}; {suggestion}" if suggestion else error.message

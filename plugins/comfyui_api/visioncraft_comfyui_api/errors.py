"""Errors as ComfyUI's clients expect them."""

from __future__ import annotations

import json
import math

from fastapi import Request, Response
from visioncraft import AuthenticationError, RateLimitExceeded, VisionCraftError, status_of


def answer(_request: Request, error: VisionCraftError) -> Response:
    """Any error that is not a graph's own."""
    headers = {}
    if isinstance(error, RateLimitExceeded):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    details = str(error.details.get("issue", ""))
    told = {"type": error.code.lower(), "message": error.message, "details": details, "extra_info": {}}
    body = json.dumps({"error": told, "node_errors": {}})
    return Response(body, status_of(error), headers, media_type="application/json")

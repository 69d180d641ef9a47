"""Errors as ComfyUI's clients expect them."""

from __future__ import annotations

import json

from fastapi import Request, Response
from visioncraft import VisionCraftError, error_headers, status_of


def answer(_request: Request, error: VisionCraftError) -> Response:
    """Any error that is not a graph's own."""
    details = str(error.details.get("issue", ""))
    told = {"type": error.code.lower(), "message": error.message, "details": details, "extra_info": {}}
    body = json.dumps({"error": told, "node_errors": {}})
    return Response(body, status_of(error), error_headers(error), media_type="application/json")

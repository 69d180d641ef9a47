"""Bodies as clients send them: JSON whatever their Content-Type says, or nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import Request
from visioncraft import InvalidRequest

MOST_BYTES = 4 * 2**20
"""Of a graph; only uploads are larger."""

_LARGE = 2**20  # bytes; reading so many keeps the event loop from others


async def json_of(request: Request) -> dict[str, Any]:
    """The object in a body; an empty one for none. Raises `InvalidRequest`."""
    content = await request.body()
    if len(content) > MOST_BYTES:
        raise InvalidRequest.of("body", f"at most {MOST_BYTES} bytes")
    if not content.strip():
        return {}
    try:
        found = await asyncio.to_thread(json.loads, content) if len(content) > _LARGE else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest.of("body", f"not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidRequest.of("body", "a JSON object")
    return found


def number_of(request: Request, name: str) -> int | None:
    """A whole number of the query, at least 0; None where it is left out. Raises `InvalidRequest`."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return None
    try:
        return max(0, int(text)) if len(text) < 16 else 0
    except ValueError:
        raise InvalidRequest.of(name, "a whole number") from None

"""JSON bodies as clients of AUTOMATIC1111 send them: under any Content-Type, with null for whatever is not meant.

FastAPI reads JSON only under its own Content-Type and refuses a float where a whole number is declared; several clients
send both, and none knows what to do with a 422.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from visioncraft import InvalidRequest

_LARGE = 2**20  # bytes; reading so many keeps the event loop from others


class Body:
    """The fields of a JSON object, read as their clients mean them: null is as good as absent.

    Args:
        values: The object.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        """Whether the client says something."""
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        """A text; a number counts as one."""
        value = self.values.get(name, default)
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return f"{value:g}" if isinstance(value, float) else str(value)
        raise InvalidRequest.of(name, "a text")

    def number(self, name: str) -> float | None:
        """A number, also one written as a text; None where there is none."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            found = float(value)
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        if not math.isfinite(found):
            raise InvalidRequest.of(name, "a number")
        return found

    def whole(self, name: str) -> int | None:
        """A whole number, also one written as 20.0 or "20"; a fraction is rounded down."""
        value = self.values.get(name)
        if isinstance(value, int):  # a seed may have more digits than a float holds
            return int(value)
        found = self.number(name)
        return None if found is None else math.floor(found)

    def flag(self, name: str, default: bool = False) -> bool:
        """Yes or no; a number or a word of the kind counts too."""
        value = self.values.get(name, default)
        return value.strip().lower() in ("true", "1", "yes", "on") if isinstance(value, str) else bool(value)

    def part(self, name: str) -> Body:
        """An object inside; an empty one where there is none."""
        value = self.values.get(name)
        return Body(value) if isinstance(value, Mapping) else Body({})

    def items(self, name: str) -> Sequence[Any]:
        """A list inside; one that stands alone is a list of itself."""
        value = self.values.get(name, [])
        return value if isinstance(value, list) else [value]


async def read_body(request: Request) -> Body:
    """Reads what a client has sent.

    Raises:
        InvalidRequest: That is no JSON object.
    """
    raw = await request.body()
    if not raw.strip():
        return Body({})
    try:
        values = await asyncio.to_thread(_parsed, raw) if len(raw) > _LARGE else _parsed(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest.of("body", f"not valid JSON: {str(error)[:200]}") from error
    if not isinstance(values, dict):
        raise InvalidRequest.of("body", "a JSON object")
    return Body(values)


def _parsed(raw: bytes) -> Any:
    return json.loads(raw, parse_constant=lambda _: None)  # NaN and Infinity, which JSON does not have

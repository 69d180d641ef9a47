"""A crowd of requests for pictures lets others come between."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from stepping import play
from visioncraft.api.turnstile import Turnstile

CROWD = 50


@pytest.mark.parametrize("path", ["/jobs", "/generate", "/images/img_01kb0v7m3qj4x5n6p7r8s9t0ab/replay"])
def test_between_two_of_a_crowd_of_requests_somebody_else_has_a_turn(path: str) -> None:
    turns: list[str] = []
    scope = {"type": "http", "method": "POST", "path": path}

    async def app(_scope: object, receive: Any, _send: object) -> None:
        turns.append("begun")
        await receive()
        turns.append("read")

    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def nowhere(message: object) -> None:
        raise AssertionError(message)

    async def others(crowd: asyncio.Future[Any]) -> None:
        while not crowd.done():
            turns.append("other")
            await asyncio.sleep(0)

    async def scene() -> None:
        guarded = Turnstile(app)
        await others(asyncio.gather(*(guarded(scope, body, nowhere) for _ in range(CROWD))))

    play(scene)
    assert (turns.count("begun"), turns.count("read")) == (CROWD, CROWD)
    assert not any(a != "other" and b != "other" for a, b in pairwise(turns))

"""How a crowd of requests for pictures is let in: one in each round of the event loop, so that others come between.

Reading, checking and refusing a request takes the loop some milliseconds, mostly without a pause. Hundreds that come
at once would be answered in one round, and whoever asks for `/status` meanwhile would wait for the last of them.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Turnstile:
    """Lets one request for a picture go on in each round of the event loop, in the order of their coming.

    A request takes a turn when it begins, and one more when its body is whole. It keeps none: a client that is slow
    holds up nobody.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, in turn where a picture is asked for."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _asks_for_a_picture(scope["path"]):
            await self._app(scope, receive, send)
            return
        await self._turn()

        async def heard() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                await self._turn()
            return message

        await self._app(scope, heard, send)

    async def _turn(self) -> None:
        await self._turns.acquire()
        asyncio.get_running_loop().call_soon(self._turns.release)


def _asks_for_a_picture(path: str) -> bool:
    return path in ("/jobs", "/generate") or path.endswith("/replay")

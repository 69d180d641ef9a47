"""How much of clients' bodies may lie in memory: of one request, and of all together."""

from __future__ import annotations

import asyncio
import gc

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visioncraft.api.errors import error_response
from visioncraft.errors import InvalidRequest

_FREE = 64 * 1024  # bytes of each body that count towards no bound: what only has words in it is always taken
_LARGE = 2**20  # bytes of a body after which it is worth looking for what is left of it
_COLLECT_AFTER_S = 1.0
_COME_BACK = {"Retry-After": "2"}


class BodyGuard:
    """Refuses a body past `limit` by its announced length and while it is read, and past `total` for all together.

    Parameters
    ----------
    limit: Bytes of one body (`server.max_body_bytes`).
    total: Bytes of all bodies that are being read at one time (`server.body_memory_bytes`); at least one body's.
    """

    def __init__(self, app: ASGIApp, limit: int, total: int) -> None:
        self._app = app
        self._limit = limit
        self._total = max(limit, total)
        self._held = 0
        self._collecting: asyncio.TimerHandle | None = None
        self._bound = f"at most {limit} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 400 or 503."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > self._limit:
            await self._refuse(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.forget()
            if body.read > _LARGE:
                self._collect_soon()

    def check(self, size: int) -> None:
        """Raises `HTTPException` for a body of more than `size` bytes where that is too much for one."""
        if size > self._limit:
            raise HTTPException(400, self._bound)

    def hold(self, size: int) -> None:
        """Count further bytes that wait in memory. Raises `HTTPException` and counts none where there is no room."""
        if self._held + size > self._total:
            raise HTTPException(503, "too many large requests are being received at once", _COME_BACK)
        self._held += size

    def let_go(self, size: int) -> None:
        """Those bytes do not wait any more."""
        self._held -= size

    def _collect_soon(self) -> None:
        """What is left of a request that failed is a circle of errors and frames, and holds its body.

        The garbage collector goes by the number of objects: on a server without further requests it would not come.
        """
        if self._collecting is None:
            self._collecting = asyncio.get_running_loop().call_later(_COLLECT_AFTER_S, self._collect)

    def _collect(self) -> None:
        self._collecting = None
        gc.collect()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = InvalidRequest("Invalid body provided", field="body", issue=self._bound)
        await error_response(error)(scope, receive, send)


class _Body:
    """One request's body while it is read."""

    def __init__(self, guard: BodyGuard, receive: Receive) -> None:
        self._guard = guard
        self._receive = receive
        self.read = 0
        self._held = 0

    async def receive(self) -> Message:
        """The next message from the client, its bytes counted. Raises for what is too much."""
        message = await self._receive()
        self.read += len(message.get("body", b""))
        self._guard.check(self.read)
        if message.get("more_body", False):
            more = max(0, self.read - _FREE) - self._held
            self._guard.hold(more)
            self._held += more
        else:  # whole, or its client has gone
            self.forget()
        return message

    def forget(self) -> None:
        """It is being read no longer."""
        self._guard.let_go(self._held)
        self._held = 0

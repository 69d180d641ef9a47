"""How much of clients' bodies may lie in memory: of one request, and of all together."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visioncraft.api.dialects import refuse
from visioncraft.errors import InvalidRequest

_FREE = 64 * 1024  # bytes of each body that count towards no bound: what only has words in it is always taken
_LARGE = 2**20  # bytes of a body after which it is worth looking for what is left of it
_COLLECT_AFTER_S = 1.0
_COME_BACK = {"Retry-After": "2"}


class BodyMemory:
    """What clients' bodies take while they are read, whatever port they come in by.

    Args:
        most: Bytes of all of them at one time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def hold(self, size: int) -> None:
        """Count further bytes that wait in memory. Raises `HTTPException` and counts none where there is no room."""
        if self._held + size > self._most:
            raise HTTPException(503, "too many large requests are being received at once", _COME_BACK)
        self._held += size

    def let_go(self, size: int) -> None:
        """Those bytes do not wait any more."""
        self._held -= size


class BodyGuard:
    """Refuses a body past `limit` by its announced length and while it is read, and all together past `memory`.

    Args:
        limit: Bytes of one body (`server.max_body_bytes`).
        memory: Counts the bodies that are being read (`server.body_memory_bytes`).
        limit_of: The bound that a request's dialect states for itself; None where it states none.
        to_disk: Whether a request's dialect writes its body to disk as it comes, and has no part of `memory`.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        memory: BodyMemory,
        limit_of: Callable[[Scope], int | None] = lambda scope: None,
        to_disk: Callable[[Scope], bool] = lambda scope: False,
    ) -> None:
        self._app = app
        self._limit, self._limit_of, self._to_disk = limit, limit_of, to_disk
        self._memory = memory
        self._collecting: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 400 or 503."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope) or self._limit
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            problem = InvalidRequest.of("body", f"at most {limit} bytes")
            await refuse(problem, scope, receive, send)
            return
        body = _Body(self._memory, receive, limit, counted=not self._to_disk(scope))
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.forget()
            if body.read > _LARGE:
                self._collect_soon()

    def _collect_soon(self) -> None:
        """What is left of a request that failed is a circle of errors and frames, and holds its body.

        The garbage collector goes by the number of objects: on a server without further requests it would not come.
        """
        if self._collecting is None:
            self._collecting = asyncio.get_running_loop().call_later(_COLLECT_AFTER_S, self._collect)

    def _collect(self) -> None:
        self._collecting = None
        gc.collect()


class _Body:
    """One request's body while it is read."""

    def __init__(self, memory: BodyMemory, receive: Receive, limit: int, counted: bool) -> None:
        self._memory, self._limit, self._counted = memory, limit, counted
        self._receive = receive
        self.read = 0
        self._held = 0

    async def receive(self) -> Message:
        """The next message from the client, its bytes counted. Raises for what is too much."""
        message = await self._receive()
        self.read += len(message.get("body", b""))
        if self.read > self._limit:
            raise HTTPException(400, f"at most {self._limit} bytes")
        if message.get("more_body", False) and self._counted:
            more = max(0, self.read - _FREE) - self._held
            self._memory.hold(more)
            self._held += more
        else:  # whole, or its client has gone
            self.forget()
        return message

    def forget(self) -> None:
        """It is being read no longer."""
        self._memory.let_go(self._held)
        self._held = 0

"""A line of the log for each request, with its id and how long it took; the id goes back in `X-Request-Id`."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visioncraft.api.links import local_path
from visioncraft.logs import note_request

log = logging.getLogger(__name__)

_SANE = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
_QUIET = ("/health", "/health/live", "/health/ready")
"""Asked every few seconds by whoever watches the server, and of no interest while all is well."""

_LONGEST = 300  # characters of a target


class AccessLog:
    """Names each request and tells of its end: status and seconds, or that its client hung up.

    An `X-Request-Id` that a client or proxy sent is taken over where it is short and of harmless characters, so that
    their logs and this one can be read together; else one is made.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and log the end."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = _Asked(scope)
        note_request(request.id)
        try:
            await self._app(scope, request.heard(receive), request.answered(send))
        finally:
            request.tell()


class _Asked:
    def __init__(self, scope: Scope) -> None:
        sent = Headers(scope=scope).get("x-request-id", "")
        self.id = sent if _SANE.fullmatch(sent) else secrets.token_hex(8)
        self._scope, self._began = scope, time.perf_counter()
        self._status, self._whole, self._left = 0, False, False

    def heard(self, receive: Receive) -> Receive:
        async def hear() -> Message:
            message = await receive()
            self._left = self._left or (message["type"].endswith(".disconnect") and not self._whole)
            return message

        return hear

    def answered(self, send: Send) -> Send:
        async def answer(message: Message) -> None:
            if message["type"].endswith(".start") or message["type"] == "websocket.accept":
                self._status = message.get("status", 101)
                MutableHeaders(scope=message)["X-Request-Id"] = self.id
            self._whole = self._whole or (message["type"].endswith(".body") and not message.get("more_body"))
            await send(message)

        return answer

    def tell(self) -> None:
        """The line. What is asked of `/health` has one only where something is wrong."""
        took = time.perf_counter() - self._began
        quiet = local_path(self._scope) in _QUIET and self._status < 400
        facts: dict[str, Any] = {"status": self._status, "seconds": round(took, 4), "hung_up": self._left}
        log.log(
            logging.DEBUG if quiet else logging.INFO,
            '%s "%s %s" %s',
            (self._scope.get("client") or ["-"])[0],
            self._scope.get("method", "WS"),
            self._target(),
            self._outcome(took),
            extra={"facts": facts},
        )

    def _outcome(self, took: float) -> str:
        if self._scope["type"] == "websocket" and self._status == 101:
            return f"closed after {took:.3f} s"
        return f"hung up after {took:.3f} s" if self._left else f"{self._status or 'no answer'} in {took:.3f} s"

    def _target(self) -> str:
        """Path and query as they were sent, which is ASCII."""
        query = self._scope.get("query_string", b"").decode("latin-1")
        target = (self._scope.get("raw_path") or b"").decode("latin-1") + (f"?{query}" if query else "")
        return target if len(target) <= _LONGEST else f"{target[:_LONGEST]}…"

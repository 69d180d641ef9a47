"""A client's HTTP connection: uvicorn's on h11, with deadlines."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Any

import h11
import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from visioncraft.api.errors import envelope, error_headers, status_of
from visioncraft.api.headers import SAFE_HEADERS
from visioncraft.api.serving.connections import Connections
from visioncraft.api.serving.stalls import Stall, reset
from visioncraft.errors import InvalidRequest, Overloaded, RequestTimeout, VisionCraftError

_SLOWEST_BODY = 32 * 1024  # bytes a second; a body that comes faster may go on, up to its bound
_COME_BACK_S = 2.0


class Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()


class HTTPConnection(H11Protocol):
    """An HTTP/1.1 connection that ends when its client is slow or silent.

    Deadlines: for the first head and for the rest of each later one; for a body, plus a second for every 32 KiB of it
    that came; for taking some of the answer. None while the server works on the answer.
    """

    server_state: Connections

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = server_state.limits
        self._phase = Phase.HEAD
        self._since = self.loop.time()
        self._received = 0  # bytes in this phase
        self._upgraded = False
        self._stall = Stall(self._limits.write_timeout_s)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self.server_state.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self.server_state.answers(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        self._received += len(data)
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and _has_two_lengths(self.headers):
            self.cycle.keep_alive = False  # RFC 9112, 6.1: who reads such a request otherwise might see two in it
        self._follow()

    def on_response_complete(self) -> None:
        """An answer has been handed to the transport."""
        super().on_response_complete()
        self._phase = Phase.ANSWER  # so that the wait for the next head begins now
        self._follow()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The connection is a WebSocket's from now on."""
        self._upgraded = True
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """What came is not HTTP."""
        self._end(InvalidRequest.of("request", "not valid HTTP/1.1"))

    def make_room(self) -> None:
        """End for the sake of another client. What is on its way to this one still arrives."""
        if self._received:
            self.refuse()
        else:
            self._end(None)

    def refuse(self) -> None:
        """Say that there is no room, and end."""
        self._end(Overloaded("Too many connections are open; try again in a moment", retry_after=_COME_BACK_S))

    def tend(self, now: float) -> None:
        """End the connection if a deadline has passed."""
        if self._stall.is_over(now, self.transport, self.flow.write_paused):
            reset(self.transport)
        elif self.transport.is_closing():
            return
        elif self._phase is Phase.HEAD and now - self._since > self._limits.head_timeout_s:
            self._end(RequestTimeout("The request's head did not come in time") if self._received else None)
        elif self._phase is Phase.BODY and not self.flow.read_paused and now > self._body_deadline():
            self._end(RequestTimeout("The request's body did not come in time"))

    def _body_deadline(self) -> float:
        """In the loop's time; what was answered already is only read on so that the client sees its answer."""
        earned = 0.0 if self.cycle.response_complete else self._received / _SLOWEST_BODY
        return self._since + self._limits.body_timeout_s + earned

    def _follow(self) -> None:
        """Note what the connection waits for now."""
        theirs = self.conn.their_state
        phase = {h11.IDLE: Phase.HEAD, h11.SEND_BODY: Phase.BODY}.get(theirs, Phase.ANSWER)
        if self._upgraded or self.transport.is_closing():
            self.server_state.answers(self)
        elif phase is not self._phase:
            self._phase, self._since, self._received = phase, self.loop.time(), 0
            tell = {Phase.HEAD: self.server_state.waits_for_head, Phase.BODY: self.server_state.waits_for_body}
            tell.get(phase, self.server_state.answers)(self)

    def _end(self, error: VisionCraftError | None) -> None:
        """Answer with the error, unless an answer has begun, and close once that is sent."""
        if error is not None and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self._answer(error))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._unset_keepalive_if_required()
        self.transport.close()

    def _answer(self, error: VisionCraftError) -> bytes:
        content, status = orjson.dumps(envelope(error)), status_of(error)
        headers = [
            *self.server_state.default_headers,
            *SAFE_HEADERS,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
            *((name.lower().encode(), value.encode()) for name, value in error_headers(error).items()),
        ]
        events = (
            h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]),
            h11.Data(data=content),
            h11.EndOfMessage(),
        )
        return b"".join(self.conn.send(event) or b"" for event in events)


def _has_two_lengths(headers: list[tuple[bytes, bytes]]) -> bool:
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}

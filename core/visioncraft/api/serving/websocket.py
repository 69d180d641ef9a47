"""A client's WebSocket: uvicorn's, with what is missing there."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from visioncraft.api.serving.connections import Connections
from visioncraft.api.serving.stalls import Stall, reset

_MOST_FRAMES = 64  # of one message: those without content cost memory too, and count towards no size


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket whose client is let go when it takes nothing, and which may be refused without a complaint."""

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._stall = Stall(server_state.limits.write_timeout_s)

    def tend(self, now: float) -> None:
        """End the connection if its client has stalled. Pings find the one that is gone."""
        if self._stall.is_over(now, self.transport, not self.writable.is_set()):
            reset(self.transport)

    def handle_cont(self, event: Frame) -> None:
        """A further part of a message."""
        if len(self.frames) < _MOST_FRAMES:
            super().handle_cont(event)
        else:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many frames in one message")
            self.handle_parser_exception()

    async def send(self, message: ASGISendEvent) -> None:
        """Something from the application. An answer in place of the handshake completes it, which uvicorn forgets."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

"""Clients that take nothing of what they are sent."""

from __future__ import annotations

import asyncio
import socket
import struct

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER, socket(7)


class Stall:
    """Tells when a client has taken nothing for too long.

    Args:
        limit_s: How long that is, in seconds.

    It counts only while nothing more is written: while the buffer is full, or the connection is about to close.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._left = 0  # bytes that the client has not taken
        self._since = 0.0

    def is_over(self, now: float, transport: asyncio.Transport, full: bool) -> bool:
        """Whether the client has stalled; to be asked every second or so."""
        left = transport.get_write_buffer_size() if full or transport.is_closing() else 0
        if left == 0 or left < self._left or self._left == 0:
            self._since = now
        self._left = left
        return now - self._since > self._limit_s


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once; what its client has not taken is given up by the system too."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()

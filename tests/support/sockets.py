"""Clients that do what no client library does: say nothing, say half of it, or take nothing."""

from __future__ import annotations

import json
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from harness import Server

PATIENCE_S = 60
"""How long an answer is waited for on a machine that is busy; no test takes so long."""

_CLOSE, _LONGER = 0x88, 126  # RFC 6455, 5.2


class Answer(NamedTuple):
    """An answer, or nothing: a connection that was closed without one has status 0."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def code(self) -> str:
        """The code in the envelope of an error."""
        return str(json.loads(self.content)["error"]["code"])


def connect(server: Server) -> socket.socket:
    """A connection that has said nothing yet, and has room for little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE_S)
    client.connect(("127.0.0.1", server.port))
    return client


@contextmanager
def crowd(server: Server, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections, each of which has sent `said`."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(count)]
        for client in clients:
            client.sendall(said)
        yield clients


def until_closed(client: socket.socket, said: bytes = b"") -> Answer:
    """Everything that comes, after `said`, until the server closes the connection."""
    try:
        while part := client.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    head, _, content = said.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]) if first else 0, headers, content)


def was_cut_off(client: socket.socket) -> bool:
    """Wait, without reading, until the server resets the connection; whether it did."""
    poll = select.poll()
    poll.register(client, 0)  # what has gone wrong is told unasked
    return bool(poll.poll(PATIENCE_S * 1000))


def ask(server: Server, head: str, content: bytes = b"") -> Answer:
    """Send these bytes, with `PORT` in them replaced, and hear everything until the server closes the connection."""
    with connect(server) as client:
        client.sendall(head.replace("PORT", str(server.port)).replace("\n", "\r\n").encode("latin-1") + content)
        return until_closed(client)


def handshake(path: str = "/ws", **headers: str) -> bytes:
    """The head that opens a WebSocket."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    ).encode()


def frame(opcode: int, size: int, content: bytes = b"", final: bool = True) -> bytes:
    """A client's frame that announces `size` bytes, under a mask of zeros."""
    head = bytes([opcode | (0x80 if final else 0)])
    return head + b"\xff" + struct.pack(">Q", size) + b"\0\0\0\0" + content


def closing_code(client: socket.socket) -> int:
    """The code of the close frame that comes next, after what else is told; a server's frames have no mask."""
    with client.makefile("rb") as said:
        while True:
            opcode, size = said.read(2)
            if size == _LONGER:
                (size,) = struct.unpack(">H", said.read(2))
            content = said.read(size)
            if opcode == _CLOSE:
                return int(struct.unpack(">H", content[:2])[0])

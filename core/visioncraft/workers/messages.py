"""What crosses the border between the server and a worker process: plain messages, never pickles.

A message is one MessagePack document (msgspec) behind its length, 4 bytes in network order. The server speaks first,
with `Setup`; the worker answers `Hello` or `Failed`. After that either side speaks whenever it has something to say.
"""

from __future__ import annotations

import socket
from asyncio import StreamReader
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from visioncraft.api_keys import KeyService
from visioncraft.errors import ProtocolError
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus

PROTOCOL: Final = 3
"""Raised with every change of a message; the two sides may come from different installations of the core.

A field that has a default, and that a side which does not know it may leave out, is no such change."""

MAX_MESSAGE: Final = 512 * 2**20
"""Bytes; what claims to be longer is no message."""

_LENGTH: Final = 4


class Setup(msgspec.Struct, tag=True, frozen=True):
    """The server's first word: which plugin to load, and under which settings.

    Args:
        protocol: `PROTOCOL` of the server.
        plugin: The entry point's name.
        settings: The server's validated settings as plain data, without its token.
        settings_file: Where they came from, since relative paths count from there.
        verbose: Whether to log everything.
    """

    protocol: int
    plugin: str
    settings: dict[str, Any]
    settings_file: str | None
    verbose: bool = False


class Serve(msgspec.Struct, tag=True, frozen=True):
    """After `Hello`: be the worker of this generator."""

    generator: str
    heartbeat_s: float


class Run(msgspec.Struct, tag=True, frozen=True):
    """Draw one picture; `call` names the work in every later message."""

    call: str
    request: GenerationRequest


class Load(msgspec.Struct, tag=True, frozen=True):
    """Bring a model into memory."""

    call: str
    model: ModelInfo


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Stop a call at its next step."""

    call: str


class Stop(msgspec.Struct, tag=True, frozen=True):
    """End when what runs is done."""


class Offer(msgspec.Struct, frozen=True):
    """A generator as its process describes it."""

    name: str
    engines: frozenset[str]
    concurrency: int
    models: Sequence[ModelInfo]
    status: BackendStatus


class Hello(msgspec.Struct, tag=True, frozen=True):
    """The worker's first word: what its plugin offers."""

    protocol: int
    distribution: str
    version: str
    hooks: Sequence[str]
    offers: Sequence[Offer]
    models: Sequence[ModelInfo]
    services: Sequence[KeyService] = ()


class Step(msgspec.Struct, tag=True, frozen=True):
    """Step `step` of `total` is done."""

    call: str
    step: int
    total: int
    preview: bytes | None = None


class Stage(msgspec.Struct, tag=True, frozen=True):
    """What goes on beside steps."""

    call: str
    name: str


class Drawn(msgspec.Struct, tag=True, frozen=True):
    """The picture."""

    call: str
    image: GeneratedImage


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """The model is in memory."""

    call: str


class Failed(msgspec.Struct, tag=True, frozen=True):
    """A call, or with an empty `call` the start, ended in an error; see `errors.to_plain`."""

    call: str
    error: dict[str, Any]


class Heartbeat(msgspec.Struct, tag=True, frozen=True):
    """The worker lives, and where it stands."""

    status: BackendStatus


ToWorker = Setup | Serve | Run | Load | Cancel | Stop
FromWorker = Hello | Step | Stage | Drawn | Loaded | Failed | Heartbeat

_encoder = msgspec.msgpack.Encoder()
to_worker = msgspec.msgpack.Decoder(ToWorker)
from_worker = msgspec.msgpack.Decoder(FromWorker)


def frame(message: msgspec.Struct) -> bytes:
    """A message ready to be sent. Raises `ProtocolError` for one that holds what is no plain data."""
    try:
        body = _encoder.encode(message)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"{type(message).__name__} cannot be sent: {error}") from error
    return len(body).to_bytes(_LENGTH, "big") + body


async def read(reader: StreamReader) -> FromWorker:
    """The worker's next message. Raises `EOFError` at the end and `ProtocolError` for anything that is none."""
    body = await reader.readexactly(_length(await reader.readexactly(_LENGTH)))
    message: FromWorker = _decoded(from_worker, body)
    return message


def receive(connection: socket.socket, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    """The next message, waiting in this thread. Raises as `read` does."""
    return _decoded(decoder, _exactly(connection, _length(_exactly(connection, _LENGTH))))


def _length(head: bytes) -> int:
    length = int.from_bytes(head, "big")
    if length > MAX_MESSAGE:
        raise ProtocolError("what came is no message: it claims to be longer than any")
    return length


def _decoded(decoder: msgspec.msgpack.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"what came is no message: {error}") from error


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 2**20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)

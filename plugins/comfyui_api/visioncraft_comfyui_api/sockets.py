"""The WebSockets of clients, by the ids that they gave themselves: what is told to whom."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

from fastapi import WebSocket

_PREVIEW, _PREVIEW_WITH_FACTS = 1, 4
_JPEG, _PNG = 1, 2
_SLOWEST = 1000  # messages that a client may be behind before it is let go


class Client:
    """One client's socket. What it is told waits in a queue of its own, so that a slow client keeps nobody waiting.

    Args:
        owner: The identity behind it; empty where the server knows none.
        client_id: What the client calls itself.
        previews: Whether it gets previews.
    """

    def __init__(self, owner: str, client_id: str, previews: bool) -> None:
        self.owner, self.client_id = owner, client_id
        self.previews, self.with_facts = previews, False
        self._waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue(_SLOWEST)

    async def send_all(self, socket: WebSocket) -> None:
        """Send what it is told, until it falls behind or is gone."""
        while (content := await self._waiting.get()) is not None:
            await (socket.send_text(content) if isinstance(content, str) else socket.send_bytes(content))
        await socket.close()

    def tell(self, message: dict[str, Any]) -> None:
        """Tell it something."""
        self._put(json.dumps(message))

    def show(self, jpeg: bytes, node: str, prompt_id: str) -> None:
        """Show it a preview, in the form that it understands."""
        if not self.with_facts:
            self._put(struct.pack(">II", _PREVIEW, _JPEG) + jpeg)
            return
        nodes = {"node_id": node, "display_node_id": node, "real_node_id": node, "parent_node_id": None}
        facts = json.dumps({**nodes, "prompt_id": prompt_id, "image_type": "image/jpeg"}).encode()
        self._put(struct.pack(">II", _PREVIEW_WITH_FACTS, len(facts)) + facts + jpeg)

    def hand(self, png: bytes) -> None:
        """Hand it a finished image, as `SaveImageWebsocket` does."""
        self._put(struct.pack(">II", _PREVIEW, _PNG) + png)

    def _put(self, content: str | bytes) -> None:
        if self._waiting.qsize() < _SLOWEST - 1:
            self._waiting.put_nowait(content)
        elif not self._waiting.full():
            self._waiting.put_nowait(None)


class Sockets:
    """All clients that are connected."""

    def __init__(self) -> None:
        self._clients: list[Client] = []

    def join(self, client: Client) -> None:
        """A client is there; it hears what is told from now on."""
        self._clients.append(client)

    def leave(self, client: Client) -> None:
        """A client is gone."""
        self._clients.remove(client)

    def of(self, owner: str, client_id: str) -> list[Client]:
        """The sockets of one client. Nobody else's: who knows another's id is still another."""
        return [each for each in self._clients if client_id and (each.owner, each.client_id) == (owner, client_id)]

    def tell(self, owner: str, client_id: str, message: dict[str, Any]) -> None:
        """Tell one client."""
        for client in self.of(owner, client_id):
            client.tell(message)

    def tell_all(self, message: dict[str, Any]) -> None:
        """Tell everybody."""
        for client in self._clients:
            client.tell(message)

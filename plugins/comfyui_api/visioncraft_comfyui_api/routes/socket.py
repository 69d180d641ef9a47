"""`/ws`: where clients hear what becomes of their prompts."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import Any

import anyio
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from visioncraft_comfyui_api.desk import Desk
from visioncraft_comfyui_api.following import executing
from visioncraft_comfyui_api.prompts import Prompt
from visioncraft_comfyui_api.routes.info import FEATURES
from visioncraft_comfyui_api.sockets import Client


def routes(desk: Desk) -> APIRouter:
    """This route."""
    found = APIRouter()

    @found.websocket("/ws")
    async def listen(socket: WebSocket) -> None:
        """Tell a client of its own prompts, and everybody how many are left."""
        client_id = socket.query_params.get("clientId", "")[:200] or uuid.uuid4().hex
        client = Client(desk.owner_of(socket), client_id, desk.own.previews)
        await socket.accept()
        _greet(desk, client)
        desk.sockets.join(client)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_hear, socket, client, tasks.cancel_scope)
                with suppress(WebSocketDisconnect, RuntimeError):  # it is gone
                    await client.send_all(socket)
                tasks.cancel_scope.cancel()
        finally:
            desk.sockets.leave(client)

    return found


def _greet(desk: Desk, client: Client) -> None:
    """Say how many prompts are left, and to whom; a client whose prompt ended before it came hears of that end now."""
    status = desk.book.status()
    client.tell({**status, "data": {**status["data"], "sid": client.client_id}})
    for prompt in desk.book.all():
        if (prompt.owner, prompt.client_id) == (client.owner, client.client_id):
            _catch_up(client, prompt)


def _catch_up(client: Client, prompt: Prompt) -> None:
    if prompt.state == "in_progress" and prompt.at:
        client.tell(executing(prompt, prompt.sampler))
    elif prompt.over and not prompt.heard and prompt.messages:
        prompt.heard = True
        for node, output in prompt.outputs.items():
            facts = {"node": node, "display_node": node, "output": output, "prompt_id": prompt.id}
            client.tell({"type": "executed", "data": facts})
        kind, data = prompt.messages[-1]
        client.tell({"type": kind, "data": data})
        client.tell(executing(prompt, None))


async def _hear(socket: WebSocket, client: Client, telling: anyio.CancelScope) -> None:
    """Read what a client says, until it is gone: which features it has."""
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        said = _said(message.get("text"))
        if said.get("type") == "feature_flags" and isinstance(said.get("data"), dict):
            client.with_facts = bool(said["data"].get("supports_preview_metadata"))
            client.previews = True
            client.tell({"type": "feature_flags", "data": FEATURES})
    telling.cancel()


def _said(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

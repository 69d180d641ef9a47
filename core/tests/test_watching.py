"""`/ws` without a server: what its handler does with a client that talks, and with one that goes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from visioncraft.api.app import create_app
from visioncraft.gallery import plugin as builtin
from visioncraft.plugins.manager import PluginManager
from visioncraft.runtime.runtime import Runtime
from visioncraft.settings import Settings
from visioncraft.workers.in_process_pool import InProcessPool

SCOPE = {
    "type": "websocket",
    "path": "/ws",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
    "scheme": "ws",
    "subprotocols": [],
    "extensions": {"websocket.http.response": {}},
}


async def told_by_a_visit(runtime: Runtime, said: list[dict[str, Any]]) -> list[Any]:
    """What a client hears that opens `/ws` and says these things."""
    coming: asyncio.Queue[Any] = asyncio.Queue()
    for message in said:
        coming.put_nowait(message)
    heard: list[Any] = []

    async def send(message: Any) -> None:
        heard.append(message)

    async with runtime:
        app = create_app(runtime.settings, runtime)
        await asyncio.wait_for(app({**SCOPE, "state": {}}, coming.get, send), 30)
        assert not runtime.jobs.events.watched("job_any")
    return heard


def test_a_client_that_goes_is_noticed_though_nothing_happens_to_any_job(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    manager = PluginManager(settings)
    manager.register(builtin, "memory")
    runtime = Runtime(settings, manager, lambda registry: InProcessPool(registry.generators))
    talk: list[dict[str, Any]] = [{"type": "websocket.receive", "text": "hello"}] * 3
    said = [{"type": "websocket.connect"}, *talk, {"type": "websocket.disconnect", "code": 1001}]
    assert [message["type"] for message in asyncio.run(told_by_a_visit(runtime, said))] == ["websocket.accept"]

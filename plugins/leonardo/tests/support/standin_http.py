"""Leonardo.ai's API v1 on 127.0.0.1: as strict as `../shared/leonardo/NOTES.md`, with every fault on demand.

A fault is one word or two, queued for a route (and a prompt): `reset` (nothing is done), `lost` (done, then reset),
`429` or `429 <Retry-After>`, `502`, `502 after` (done, then 502), `json` (done, then broken JSON), `drip` (done, then a
byte now and then), `truncated`, `hold` (done, then the answer waits), `hold before` (nothing is done),
`redirect <url>`, `failed`, `moderation`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import uvicorn
from rules import UUID, Answer, Refusal
from standin import KEY, StandIn


class _App:
    """The routes as a bare ASGI application, so that a fault can reach the connection itself."""

    def __init__(self, standin: StandIn) -> None:
        self.standin = standin

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        content = b""
        while True:
            message = await receive()
            content += message.get("body", b"")
            if not message.get("more_body"):
                break
        route, argument = _route(scope["method"], scope["path"])
        self.standin.asked[route] += 1
        fault = self.standin.next_fault(route, self._prompt(route, argument, content))
        if fault == "reset":
            send.__self__.transport.abort()
        elif fault == "hold before":
            self.standin.held.set()
            await asyncio.to_thread(self.standin.release.wait)
            send.__self__.transport.abort()
        elif fault.startswith("redirect "):
            await _say(send, 302, b"", [(b"location", fault.split()[1].encode())])
        elif re.fullmatch(r"\d{3}( \d+)?", fault):
            after = [(b"retry-after", fault.split()[1].encode())] if " " in fault else []
            await _say(send, int(fault[:3]), b"<html>trouble</html>", after)
        elif route == "picture":
            await self._show(receive, send, argument, fault)
        elif route == "upload":
            await _say(send, self.standin.store(dict(scope["headers"]), content), b"", [])
        else:
            status, document = self._answer(scope, route, argument, content, fault)
            self.standin.answers.append((scope["method"], scope["path"], status, document))
            await self._deliver(receive, send, status, json.dumps(document).encode(), fault)

    def _prompt(self, route: str, argument: str, content: bytes) -> str | None:
        if route == "order":
            try:
                return str(json.loads(content).get("prompt"))
            except (ValueError, AttributeError):
                return None
        made = self.standin.generations.get(argument)
        return str(made["prompt"]) if made else None

    def _answer(self, scope: Any, route: str, argument: str, content: bytes, fault: str) -> Answer:
        query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&") if "=" in pair)
        does: dict[str, Callable[[], Answer]] = {
            "order": lambda: self.standin.order(_parsed(content), fault),
            "init": lambda: self.standin.init_image(_parsed(content)),
            "generation": lambda: self.standin.look(argument),
            "delete": lambda: self.standin.delete(argument),
            "list": lambda: self.standin.list(argument, int(query.get("offset", 0)), int(query.get("limit", 10))),
            "me": self.standin.me,
            "models": self.standin.models,
        }
        try:
            _authorise(dict(scope["headers"]).get(b"authorization", b"").decode())
            return (
                does[route]() if route in does else (404, {"error": "no such route", "path": "$", "code": "not-found"})
            )
        except Refusal as refusal:
            return refusal.answer

    async def _deliver(self, receive: Any, send: Any, status: int, content: bytes, fault: str) -> None:
        if fault == "lost":
            send.__self__.transport.abort()
        elif fault.endswith(" after"):
            await _say(send, int(fault[:3]), b"<html>Bad gateway</html>", [])
        elif fault == "json":
            await _say(send, status, content[: len(content) // 2], [])
        elif fault == "drip":
            await _drip(receive, send, status, content)
        elif fault == "hold":
            self.standin.held.set()
            await asyncio.to_thread(self.standin.release.wait)
            await _say(send, status, content, [])
        else:
            await _say(send, status, content, [])

    async def _show(self, receive: Any, send: Any, name: str, fault: str) -> None:
        content = self.standin.picture(name.removesuffix(".jpg"))
        if fault == "truncated":
            content = content[: len(content) // 2]
        await self._deliver(receive, send, 200, content, fault)


def _route(method: str, path: str) -> tuple[str, str]:
    if path.startswith("/pictures/"):
        return "picture", path.rsplit("/", 1)[1].removesuffix(".jpg")
    if (method, path) == ("POST", "/uploads"):
        return "upload", ""
    parts = path.removeprefix("/api/rest/v1/").split("/")
    match (method, parts):
        case ("POST", ["init-image"]):
            return "init", ""
        case ("POST", ["generations"]):
            return "order", ""
        case ("GET", ["generations", "user", user]):
            return "list", user
        case ("GET", ["generations", generation_id]):
            return "generation", generation_id
        case ("DELETE", ["generations", generation_id]):
            return "delete", generation_id
        case ("GET", ["me"]):
            return "me", ""
        case ("GET", ["platformModels"]):
            return "models", ""
    return "none", ""


def _authorise(header: str) -> None:
    key = header.removeprefix("Bearer ")
    if not UUID.fullmatch(key.lower()):
        raise Refusal(500, "unexpected", "Invalid response from authorization hook")
    if key != KEY:
        raise Refusal(401, "access-denied", "Authentication hook unauthorized this request")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise Refusal(400, "bad-request", "the body is no JSON") from None


async def _say(send: Any, status: int, content: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    kind = (b"content-type", b"application/json")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": content})


async def _drip(receive: Any, send: Any, status: int, content: bytes) -> None:
    """A byte now and then, until the client has had enough and hangs up."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    for number in range(len(content)):
        await send({"type": "http.response.body", "body": content[number : number + 1], "more_body": True})
        with suppress(TimeoutError):
            await asyncio.wait_for(receive(), 0.02)
            return


@contextmanager
def standing_in(standin: StandIn) -> Iterator[StandIn]:
    """Serve in a thread on a free port until the block ends."""
    config = uvicorn.Config(_App(standin), port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    standin.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    thread = Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield standin
    finally:
        standin.release.set()
        server.should_exit = True
        thread.join(30)
        socket.close()

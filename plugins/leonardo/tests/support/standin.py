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
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from functools import cache
from io import BytesIO
from threading import Event, Thread
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from rules import OLDER, OTHER_MODEL, UUID, Answer, Refusal, check

KEY = "5f0c1a52-7d1b-4c0e-9d6a-0a1b2c3d9721"
USER = "0e2c5b4a-1111-4222-8333-444455556666"


class StandIn:
    """The server's memory. Tests read it and queue faults; requests change it.

    Parameters
    ----------
    looks: How often a generation is PENDING when it is looked at.
    side: Pictures are this many pixels a side; None for the size that was ordered.
    """

    def __init__(self, looks: int = 1, side: int | None = None) -> None:
        self.looks, self.side = looks, side
        self.generations: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.orders: list[dict[str, Any]] = []
        self.slots: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.most_pending = 0
        self.credits = 5000
        self.posts_a_minute = 100
        self.answers: list[tuple[str, str, int, Any]] = []
        self.held, self.release = Event(), Event()
        self._left: dict[str, int] = {}
        self._faults: dict[tuple[str, str | None], deque[str]] = defaultdict(deque)
        self._posts: deque[float] = deque()
        self.url = ""

    @property
    def base_url(self) -> str:
        return f"{self.url}/api/rest/v1"

    def fault(self, route: str, *faults: str, prompt: str | None = None) -> None:
        """Queue faults for the next requests of a route.

        Routes: order, generation, delete, list, me, models, init, upload, picture.
        """
        self._faults[route, prompt].extend(faults)

    def of(self, prompt: str) -> list[dict[str, Any]]:
        """The generations that were made for a prompt, those that were deleted too."""
        return [each for each in self.generations.values() if each["prompt"].startswith(prompt)]

    def next_fault(self, route: str, prompt: str | None) -> str:
        for key in ((route, prompt), (route, None)):
            if self._faults[key]:
                return self._faults[key].popleft()
        return ""

    def order(self, body: dict[str, Any], fault: str) -> Answer:
        now = time.monotonic()
        while self._posts and self._posts[0] < now - 60:
            self._posts.popleft()
        self._posts.append(now)
        if len(self._posts) > self.posts_a_minute:
            return 429, {"error": "Too many requests"}
        check(body)
        if "init_image_id" in body and body["init_image_id"] not in self.slots:
            raise Refusal(400, "unexpected", "invalid init image id")
        if fault == "moderation":
            raise Refusal(403, "unexpected", "content moderation filter: violence")
        generation_id = str(uuid.uuid4())
        self.orders.append(body)
        self.generations[generation_id] = self._made(generation_id, body)
        self._left[generation_id] = self.looks
        if fault == "failed":
            self.generations[generation_id]["fails"] = True
        pending = sum(each["status"] == "PENDING" for each in self.generations.values())
        self.most_pending = max(self.most_pending, pending)
        self.credits -= 10
        cost = {"amount": "0.0147", "unit": "DOLLARS"}
        return 200, {"sdGenerationJob": {"generationId": generation_id, "apiCreditCost": None, "cost": cost}}

    def init_image(self, body: dict[str, Any]) -> Answer:
        if body.get("extension") not in ("png", "jpg", "jpeg", "webp"):
            raise Refusal(400, "unexpected", "invalid extension")
        slot = str(uuid.uuid4())
        fields = json.dumps({"key": f"uploads/{slot}.png", "policy": "p"})
        said = {"id": slot, "key": f"uploads/{slot}.png", "url": f"{self.url}/uploads", "fields": fields}
        return 200, {"uploadInitImage": said}

    def store(self, headers: dict[bytes, bytes], content: bytes) -> int:
        """As S3 takes a form: its fields first, the file last, and nobody's key."""
        form = b"Content-Type: " + headers.get(b"content-type", b"") + b"\r\n\r\n" + content
        parts = {
            str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True))
            for part in message_from_bytes(form).walk()
            if not part.is_multipart()
        }
        if b"authorization" in headers or list(parts) != ["key", "policy", "file"]:
            return 403
        self.slots[parts["key"].decode().removeprefix("uploads/").removesuffix(".png")] = parts["file"]
        return 204

    def look(self, generation_id: str) -> Answer:
        found = self.generations.get(generation_id)
        if found is None or generation_id in self.deleted:
            return 200, {"generations_by_pk": None}
        if self._left[generation_id] > 0:
            self._left[generation_id] -= 1
        elif found["status"] == "PENDING":
            self._finish(found)
        return 200, {"generations_by_pk": {name: each for name, each in found.items() if name != "fails"}}

    def delete(self, generation_id: str) -> Answer:
        known = generation_id in self.generations and generation_id not in self.deleted
        if known:
            self.deleted.append(generation_id)
            self.generations[generation_id]["status"] = "DELETED"
        return 200, {"delete_generations_by_pk": {"id": generation_id} if known else None}

    def list(self, user: str, offset: int, limit: int) -> Answer:
        alive = [each for each in self.generations.values() if each["id"] not in self.deleted and user == USER]
        newest = alive[::-1][offset : offset + limit]
        return 200, {"generations": [{k: v for k, v in each.items() if k != "fails"} for each in newest]}

    def me(self) -> Answer:
        details = {
            "user": {"id": USER, "username": "someone"},
            "tokenRenewalDate": None,
            "paidTokens": 0,
            "subscriptionTokens": 8500,
            "subscriptionGptTokens": 1000,
            "subscriptionModelTokens": 10,
            "apiConcurrencySlots": 10,
            "apiPaidTokens": self.credits,
            "apiSubscriptionTokens": 3500,
            "apiPlanTokenRenewalDate": "2026-12-01T00:00:00.000",
        }
        return 200, {"user_details": [details]}

    def models(self) -> Answer:
        model = {
            "id": OTHER_MODEL,
            "name": "RPG v9",
            "description": "Only this key may use it",
            "featured": False,
            "nsfw": False,
            "generated_image": None,
        }
        return 200, {"custom_models": [model]}

    def picture(self, generation_id: str) -> bytes:
        made = self.generations[generation_id]
        return jpeg(self.side or made["imageWidth"], self.side or made["imageHeight"])

    def _made(self, generation_id: str, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": generation_id,
            "createdAt": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds"),
            "status": "PENDING",
            "generated_images": [],
            "generation_elements": [],
            "guidanceScale": body.get("guidance_scale"),
            "imageHeight": body.get("height", 768),
            "imageWidth": body.get("width", 1024),
            "inferenceSteps": body.get("num_inference_steps", 15),
            "initStrength": body.get("init_strength"),
            "modelId": body.get("modelId", OLDER[1]),
            "negativePrompt": body.get("negative_prompt", ""),
            "photoReal": False,
            "photoRealStrength": None,
            "presetStyle": body.get("presetStyle"),
            "prompt": body["prompt"],
            "promptMagic": False,
            "promptMagicStrength": None,
            "promptMagicVersion": None,
            "public": body.get("public", False),
            "scheduler": "EULER_DISCRETE",
            "sdVersion": "SDXL_1_0",
            "seed": body.get("seed", 4242),
            "ultra": body.get("ultra", False),
        }

    def _finish(self, generation: dict[str, Any]) -> None:
        generation["status"] = "FAILED" if generation.get("fails") else "COMPLETE"
        if generation["status"] == "COMPLETE":
            image = {
                "id": str(uuid.uuid4()),
                "url": f"{self.url}/pictures/{generation['id']}.jpg",
                "nsfw": False,
                "likeCount": 0,
                "fantasyAvatar": False,
                "imageToVideo": False,
                "motion": False,
                "motionModel": None,
                "motionMP4URL": None,
                "motionStrength": None,
                "generated_image_variation_generics": [],
            }
            generation["generated_images"] = [image]


@cache
def jpeg(width: int, height: int) -> bytes:
    """A picture with more than one colour."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


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
            await self._show(send, argument, fault)
        elif route == "upload":
            await _say(send, self.standin.store(dict(scope["headers"]), content), b"", [])
        else:
            status, document = self._answer(scope, route, argument, content, fault)
            self.standin.answers.append((scope["method"], scope["path"], status, document))
            await self._deliver(send, status, json.dumps(document).encode(), fault)

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

    async def _deliver(self, send: Any, status: int, content: bytes, fault: str) -> None:
        if fault == "lost":
            send.__self__.transport.abort()
        elif fault.endswith(" after"):
            await _say(send, int(fault[:3]), b"<html>Bad gateway</html>", [])
        elif fault == "json":
            await _say(send, status, content[: len(content) // 2], [])
        elif fault == "drip":
            await _drip(send, status, content)
        elif fault == "hold":
            self.standin.held.set()
            await asyncio.to_thread(self.standin.release.wait)
            await _say(send, status, content, [])
        else:
            await _say(send, status, content, [])

    async def _show(self, send: Any, name: str, fault: str) -> None:
        content = self.standin.picture(name.removesuffix(".jpg"))
        if fault == "truncated":
            content = content[: len(content) // 2]
        await self._deliver(send, 200, content, fault)


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


async def _drip(send: Any, status: int, content: bytes) -> None:
    """A byte now and then, until the client has had enough."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    for number in range(len(content)):
        if send.__self__.disconnected:
            return
        await send({"type": "http.response.body", "body": content[number : number + 1], "more_body": True})
        await asyncio.sleep(0.02)


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

"""What Leonardo.ai knows and does: as strict as `../shared/leonardo/NOTES.md`. `standin_http` puts it on a socket."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter, defaultdict, deque
from datetime import UTC, datetime
from email import message_from_bytes
from functools import cache
from io import BytesIO
from threading import Event
from typing import Any

import numpy as np
from PIL import Image
from rules import OLDER, OTHER_MODEL, Answer, Refusal, check

KEY = "5f0c1a52-7d1b-4c0e-9d6a-0a1b2c3d9721"
USER = "0e2c5b4a-1111-4222-8333-444455556666"


class StandIn:
    """The server's memory. Tests read it and queue faults; requests change it.

    Args:
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

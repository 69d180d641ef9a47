"""A plugin that draws at once, waits where a test says so, and fails on demand; its routes under `/fake` steer it.

It stands in for what the tests cannot have: a slow engine that obeys, a device without memory, a paid cloud service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import Condition
from typing import Any

import numpy as np
from fastapi import APIRouter
from visioncraft import (
    GeneratedImage,
    GenerationRequest,
    Generator,
    InsufficientVRAM,
    Limits,
    ModelInfo,
    Progress,
    RateLimitExceeded,
    ServiceUnavailable,
    UpstreamError,
    encode_png,
    hookimpl,
)

SECRET = "hunter2-in-the-exception"
"""What the raising prompt puts into its exception; no answer may show it."""

CATALOGUE: Mapping[str, Any] = {
    "models": {
        "phoenix-1-0": {
            "id": "de7d3faf-762f-48e0-b3b7-9d0ac3a3fcf3",
            "name": "Phoenix 1.0",
            "description": "Universal model for all types of images",
        }
    },
    "aspect_ratios": [
        {"id": "1:1", "name": "Square", "resolution": [1024, 1024]},
        {"id": "16:9", "name": "Widescreen", "resolution": [1344, 768]},
    ],
    "preset_styles": [
        {"id": "CREATIVE", "name": "Creative", "description": "Balanced creative output"},
        {"id": "CINEMATIC", "name": "Cinematic", "description": "As a still from a film"},
    ],
    "quality_levels": [
        {"id": "standard", "name": "Standard", "description": "Good quality, faster generation"},
        {"id": "high", "name": "High", "description": "Better quality, slower generation"},
    ],
}


class Gates:
    """Steps wait for permits that tests hand out; tests wait for steps. No clock is involved."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._permits: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()

    def permit(self, name: str, count: int) -> None:
        with self._changed:
            self._permits[name] += count
            self._changed.notify_all()

    def pass_one(self, name: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._permits[name] > 0, timeout=60)
            self._permits[name] -= 1
            self.steps[name] += 1
            self._changed.notify_all()

    def reached(self, name: str, step: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.steps[name] >= step, timeout=60)


gates = Gates()
seen: list[dict[str, Any]] = []


class FakeEngine(Generator):
    """Fills a picture with the seed's colour, or with `noise`. `gated <name>` waits for a permit before every step."""

    name = "fake_engine"

    def models(self) -> Sequence[ModelInfo]:
        few_steps = Limits((1, 4), (1.0, 2.0), 64, (64, 64), (2048, 1024))
        return [
            ModelInfo(id="fake", name="Fake", engine=self.name, quality="None", description="One colour"),
            ModelInfo(id="fake-few-steps", name="Few steps", engine=self.name, limits=few_steps),
            ModelInfo(id="absent", name="Absent", engine=self.name, available=False, suggestion="fetch absent"),
        ]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        _remember(request)
        _fail_on_demand(request.prompt)
        kind, _, gate = request.prompt.partition(" ")
        for step in range(1, request.num_inference_steps + 1):
            if kind == "gated":
                gates.pass_one(gate)
            progress.step(step, request.num_inference_steps)
        return _noise(request) if kind == "noise" else _one_colour(request)


class FakeCloud(Generator):
    """Takes the contract's fields for Leonardo.ai and remembers what reached it."""

    name = "leonardo-api"
    concurrency = 10

    def models(self) -> Sequence[ModelInfo]:
        free = Limits((1, 1000), (0.0, 100.0), 8, (8, 8), (4096, 4096))
        return [
            ModelInfo(
                id="leonardo-api",
                name="Leonardo.ai API",
                engine=self.name,
                kind="cloud",
                quality="Professional",
                limits=free,
                catalogue=CATALOGUE,
            )
        ]

    async def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        _remember(request)
        _fail_on_demand(request.prompt)
        return _one_colour(request)


def _remember(request: GenerationRequest) -> None:
    names = ("prompt", "seed", "leonardo_model", "aspect_ratio", "preset_style", "quality")
    seen.append({name: getattr(request, name) for name in names} | {"model": request.model.id})


_FAILURES: Mapping[str, Callable[[], Exception]] = {
    "fail: crash": lambda: RuntimeError(f"{SECRET} at /home/somebody"),
    "fail: vram": lambda: InsufficientVRAM(3.2, 6.5),
    "fail: unavailable": lambda: ServiceUnavailable("The engine is being serviced"),
    "fail: limited": lambda: RateLimitExceeded("Leonardo.ai allows 20 generations a minute", retry_after=7.2),
    "fail: upstream": lambda: UpstreamError(
        "Leonardo.ai generation failed", api_error="Invalid model ID", suggestion="Check available models"
    ),
}


def _fail_on_demand(prompt: str) -> None:
    if prompt in _FAILURES:
        raise _FAILURES[prompt]()


def _one_colour(request: GenerationRequest) -> GeneratedImage:
    colour = np.array([request.seed & 255, request.seed >> 8 & 255, request.seed >> 16 & 255], dtype=np.uint8)
    pixels = np.broadcast_to(colour, (request.height, request.width, 3))
    png = encode_png(np.ascontiguousarray(pixels))
    return GeneratedImage(png, request.width, request.height, request.seed)


def _noise(request: GenerationRequest) -> GeneratedImage:
    pixels = np.random.default_rng(request.seed).integers(0, 256, (request.height, request.width, 3), dtype=np.uint8)
    return GeneratedImage(encode_png(pixels), request.width, request.height, request.seed)


def _steering() -> APIRouter:
    router = APIRouter(prefix="/fake", include_in_schema=False)

    @router.get("/seen")
    def what_was_seen() -> list[dict[str, Any]]:
        return seen

    @router.post("/permits/{name}/{count}")
    def permit(name: str, count: int) -> None:
        gates.permit(name, count)

    @router.get("/steps/{name}")
    def steps(name: str) -> int:
        return gates.steps[name]

    @router.get("/reached/{name}/{step}")
    def reached(name: str, step: int) -> bool:
        return gates.reached(name, step)

    @router.get("/crash")
    def crash() -> None:
        raise RuntimeError(SECRET)

    return router


@hookimpl
def visioncraft_generators() -> Sequence[Generator]:
    return [FakeEngine(), FakeCloud()]


@hookimpl
def visioncraft_routers() -> Sequence[APIRouter]:
    return [_steering()]

"""A plugin that draws at once, waits where a test says so, and fails on demand; its routes under `/fake` steer it.

It stands in for what the tests cannot have: a slow engine that obeys, a device without memory, a paid cloud service.
The engine draws in a worker process, as every engine that computes; it asks the routes of its own server for permits.
Every worker of the tests imports this, so what only the server needs, FastAPI, stands in `fake_steering`.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event
from typing import Any, get_args

import numpy as np
from visioncraft import (
    Ability,
    Dialect,
    GeneratedImage,
    GenerationRequest,
    Generator,
    InsufficientVRAM,
    Limits,
    ModelInfo,
    Progress,
    RateLimitExceeded,
    ServiceUnavailable,
    Settings,
    UpstreamError,
    decode_png,
    encode_png,
    enlarged,
    hookimpl,
)
from visioncraft.testing import one_colour

PATIENCE_S = 600.0
"""`visioncraft.testing` has it too, and an HTTP client with it."""

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


PREVIEW = encode_png(np.zeros((8, 8, 3), np.uint8))
"""What the engine shows after its first step."""
seen: list[dict[str, Any]] = []


class FakeEngine(Generator):
    """Fills a picture with the seed's colour, or with `noise`; one to start from comes back as it arrived, or enlarged.

    `gated <name>` waits for a permit before every step; `warns <sentence>` tells that sentence of its picture;
    `previews` shows one after each step, and not after the first alone.

    `dies <name>` ends its process as often as permits are left, at the step after; the other ends are in `_ENDS`.
    """

    name = "fake_engine"

    def __init__(self, port: int) -> None:
        self._port = port

    def models(self) -> Sequence[ModelInfo]:
        few_steps = Limits((1, 4), (1.0, 2.0), 64, (64, 64), (2048, 1024))
        return [
            ModelInfo(
                id="fake",
                name="Fake",
                engine=self.name,
                quality="None",
                description="One colour",
                abilities=frozenset(get_args(Ability)),
            ),
            ModelInfo(id="fake-few-steps", name="Few steps", engine=self.name, limits=few_steps),
            ModelInfo(id="absent", name="Absent", engine=self.name, available=False, suggestion="fetch absent"),
        ]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        with suppress(OSError, HTTPException):  # a command draws without a server
            self._tell("seen", _seen(request))
        _fail_on_demand(request.prompt)
        kind, _, gate = request.prompt.partition(" ")
        for step in range(1, request.num_inference_steps + 1):
            if kind == "gated":
                self._tell(f"pass/{gate}")
            shown = step == 1 or kind == "previews"
            progress.step(step, request.num_inference_steps, PREVIEW if shown else None)
            if kind in _ENDS and self._tell(f"take/{gate}"):
                _ENDS[kind]()
        if request.init_image is not None and request.upscaler is not None:
            pixels = enlarged(decode_png(request.init_image.png), *request.enlarged_size)
            return GeneratedImage(encode_png(pixels), *request.enlarged_size, request.seed)
        if request.init_image is not None:
            return GeneratedImage(request.init_image.png, request.width, request.height, request.seed)
        image = _noise(request) if kind == "noise" else one_colour(request)
        return replace(image, warnings=(gate,)) if kind == "warns" else image

    def _tell(self, path: str, body: object = None) -> Any:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)) as connection:
            connection.request("POST", f"/fake/{path}", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)


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
        seen.append(_seen(request))
        _fail_on_demand(request.prompt)
        progress.stage("waiting")
        return one_colour(request)


def _seen(request: GenerationRequest) -> dict[str, Any]:
    names = ("prompt", "seed", "leonardo_model", "aspect_ratio", "preset_style", "quality", "job_id")
    return {name: getattr(request, name) for name in names} | {"model": request.model.id}


def _write_garbage() -> None:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(descriptor.readlink()).startswith("socket:"):
                os.write(int(descriptor.name), b"\xff" * 64)


def _hang() -> None:
    Event().wait()


def _grow() -> None:
    _hoard.append(bytearray(b"x" * 2**30))
    _hang()


_ENDS: Mapping[str, Callable[[], Any]] = {
    "dies": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crashes": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "babbles": _write_garbage,
    "hangs": _hang,
    "grows": _grow,
}
_hoard: list[bytearray] = []


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


def _noise(request: GenerationRequest) -> GeneratedImage:
    pixels = np.random.default_rng(request.seed).integers(0, 256, (request.height, request.width, 3), dtype=np.uint8)
    return GeneratedImage(encode_png(pixels), request.width, request.height, request.seed)


@hookimpl
def visioncraft_generators(settings: Settings) -> Sequence[Generator]:
    return [FakeEngine(settings.server.port), FakeCloud()]


@hookimpl
def visioncraft_routers() -> Sequence[Dialect]:
    import fake_steering

    # Open, as the engine knows no token: workers have none.
    return [Dialect(fake_steering.routes(seen, SECRET), open_paths=("/fake/",))]

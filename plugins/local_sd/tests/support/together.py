"""Requests that the engine is made to have all at once, and what is looked at of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from visioncraft import ModelInfo, decode_png
from visioncraft_local_sd.batching.engine import Engine
from visioncraft_local_sd.generator import LocalSD

if TYPE_CHECKING:
    from visioncraft_local_sd.loaded_model import LoadedModel

ON_CUDA = os.environ.get("VISIONCRAFT_TEST_DEVICE", "cpu") == "cuda"
NEAR = 8 if ON_CUDA else 1
"""How far apart two pictures are that are the same but for rounding: on CUDA, fp32 convolutions round to TF32."""


@contextmanager
def held(engine: Engine, count: int) -> Iterator[None]:
    """Keep the engine busy until so many requests wait for it."""
    started = threading.Event()

    def wait() -> None:
        started.set()
        until_waiting(engine, count)

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(engine.call, wait)
        assert started.wait(10)
        yield
        busy.result(10)


def until_waiting(engine: Engine, count: int) -> None:
    clock = threading.Event()
    for _ in range(10_000):
        if len(engine._arrived) >= count:
            return
        clock.wait(0.001)
    raise TimeoutError(f"{count} requests did not come")


def drawn_at_once(local: LocalSD, requests: Sequence[Any], watchers: Sequence[Any]) -> list[Any]:
    local.load(requests[0].model, watchers[0])  # which needs the engine, too
    with held(local._engine, len(requests)), ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(local.run, requests, watchers))


@contextmanager
def in_loop(local: LocalSD, model: ModelInfo, watcher: Any) -> Iterator[LoadedModel]:
    """A model that draws in our own loop, in memory."""
    from visioncraft_local_sd.loaded_model import LoadedModel

    with local._held(model, watcher) as loaded:
        assert isinstance(loaded, LoadedModel)
        yield loaded


@contextmanager
def counted_rows(local: LocalSD, request: Any, watcher: Any) -> Iterator[list[int]]:
    """How many rows each call of the denoiser has."""
    rows: list[int] = []
    with in_loop(local, request.model, watcher) as loaded:
        watch = loaded._drawing.caller.network.register_forward_hook(
            lambda module, args, output: rows.append(len(args[0]))
        )
    try:
        yield rows
    finally:
        watch.remove()


def pixels(image: Any) -> np.ndarray:
    return decode_png(image.png).astype(int)


def furthest(left: Any, right: Any) -> int:
    return int(np.abs(left - right).max())

"""What each dialect adds to `POST /generate`: the same image by both ways in turn, from an engine that does nothing."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.engine import NAME, install
from benchmarks.serving import server

ROUNDS = 300
TARGET_MS = 3.0
SIZE = 512


@dataclass(frozen=True, slots=True)
class Call:
    """A request of one dialect for an image of the size that all others ask for.

    Args:
        name: As the report calls it.
        plugin: Which plugin answers it.
        path: Its route.
        body: Its JSON.
        headers: Further headers.
    """

    name: str
    plugin: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


OURS = Call(
    "POST /generate",
    NAME,
    "/generate",
    {"prompt": "nothing", "model": "bench", "num_inference_steps": 1, "width": SIZE, "height": SIZE},
)
DIALECTS: Sequence[Call] = (
    Call(
        "OpenAI, POST /v1/images/generations",
        "openai_api",
        "/v1/images/generations",
        {"prompt": "nothing", "model": "bench", "steps": 1, "size": f"{SIZE}x{SIZE}"},
    ),
    Call(
        "the same by a name that only OpenAI has",
        "openai_api",
        "/v1/images/generations",
        {"prompt": "nothing", "model": "gpt-image-1", "steps": 1, "size": f"{SIZE}x{SIZE}"},
    ),
    Call(
        "AUTOMATIC1111, POST /sdapi/v1/txt2img",
        "a1111_api",
        "/sdapi/v1/txt2img",
        {"prompt": "nothing", "model": "bench", "steps": 1, "width": SIZE, "height": SIZE},
    ),
)
"""A dialect that is to be measured adds its request here."""


def rows() -> list[tuple[str, str, str]]:
    """(what, ours, against what)."""
    plugins = ", ".join(f'"{name}"' for name in sorted({call.plugin for call in (OURS, *DIALECTS)} | {"memory"}))
    toml = f'default_model = "bench"\n[plugins]\nenabled = [{plugins}]\n[storage]\nbackend = "memory"\n'
    with tempfile.TemporaryDirectory() as folder, server(toml, install(Path(folder))) as (client, _, _):
        times = [[_milliseconds(client, call) for call in (OURS, *DIALECTS)] for _ in range(ROUNDS)]
    plain, *others = (statistics.median(each) for each in zip(*times, strict=True))
    against = f"POST /generate {plain:.2f} ms (target at most {TARGET_MS:g} ms more)"
    return [
        (f"{call.name}, {SIZE}x{SIZE}, an engine that does nothing ({ROUNDS} rounds)", _told(took, plain), against)
        for call, took in zip(DIALECTS, others, strict=True)
    ]


def _told(took: float, plain: float) -> str:
    return f"{took:.2f} ms, {took - plain:+.2f} ms"


def _milliseconds(client: httpx.Client, call: Call) -> float:
    began = time.perf_counter()
    client.post(call.path, json=call.body, headers=call.headers).raise_for_status()
    return (time.perf_counter() - began) * 1000

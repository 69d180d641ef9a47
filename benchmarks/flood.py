"""How long others wait while a crowd asks for pictures: `GET /status` beside 500 `POST /jobs` at once."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import httpx

from benchmarks.engine import NAME, install
from benchmarks.serving import server

CROWD = 500
CAPACITY = 32
QUIET = 200
_BODY = b'{"prompt": "wait", "model": "bench", "num_inference_steps": 1, "width": 64, "height": 64}'
_TOML = f"""[plugins]
enabled = ["{NAME}", "memory"]
[storage]
backend = "memory"
[jobs]
capacity = {CAPACITY}
"""


def rows() -> list[tuple[str, str, str]]:
    """(what, ours, against what)."""
    with tempfile.TemporaryDirectory() as folder, server(_TOML, install(Path(folder))) as (client, _, _):
        client.post("/jobs", content=_BODY, headers={"Content-Type": "application/json"}).raise_for_status()
        client.get("/status")  # the first one looks for devices
        quiet = _p99([_asked(client) for _ in range(QUIET)])
        crowded, answers, took = _beside_the_crowd(client)
    told = ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
    what = f"GET /status p99 while {CROWD} requests come at once to a queue of {CAPACITY}"
    against = f"{quiet:.1f} ms when quiet, {crowded / quiet:.1f} times that (target at most 10); {told} in {took:.1f} s"
    return [(what, f"{crowded:.1f} ms", against)]


def _beside_the_crowd(client: httpx.Client) -> tuple[float, Counter[int], float]:
    """`/status` p99 in ms, what the crowd was answered, and in how many seconds."""
    # From a process of its own: in this one the crowd would delay the clock's reader, not the server.
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
        elsewhere.submit(os.getpid).result()
        crowd, times = elsewhere.submit(_crowd, client.base_url.port or 80), []
        while not crowd.done():
            times.append(_asked(client))
            time.sleep(0.005)
        return _p99(times), *crowd.result()


def _asked(client: httpx.Client) -> float:
    began = time.perf_counter()
    client.get("/status").raise_for_status()
    return (time.perf_counter() - began) * 1000


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


def _crowd(port: int) -> tuple[Counter[int], float]:
    return asyncio.run(_all_at_once(port))


async def _all_at_once(port: int) -> tuple[Counter[int], float]:
    """Every client has connected before the first of them asks."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CROWD)]
    head = b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY
    began = time.perf_counter()
    for _, writer in opened:
        writer.write(request)
    answers = Counter([int((await reader.read())[9:12] or b"0") for reader, _ in opened])
    took = time.perf_counter() - began
    for _, writer in opened:
        writer.close()
    return answers, took

"""What the server adds to the engine, and whether it answers while it draws."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import visioncraft_mini
from diffusers import StableDiffusionPipeline
from psutil import NoSuchProcess, Process, wait_procs
from visioncraft import model_folder, read_record

from benchmarks.peers import draw, pipeline
from benchmarks.serving import server

MODEL = "visioncraft-mini"
ROUNDS = 20
STATUS_CALLS = 400
REQUEST: dict[str, Any] = {
    "prompt": "a red apple",
    "model": MODEL,
    "num_inference_steps": 20,
    "guidance_scale": 7.5,
    "width": 512,
    "height": 512,
    "seed": 1,
}
COMPILED = '[plugins.config.local_sd]\ncompile = "on"\n'
_COMPILER = "visioncraft_local_sd.compiling.child"
TARGET_STOCK, TARGET_OVERHEAD = 0.7, 1.05
TARGET_STATUS_MS = 20.0


def rows() -> list[tuple[str, str, str]]:
    """Server time over engine time, and `/status` under load: (what, ours, against what)."""
    weights = model_folder(str(visioncraft_mini.__file__), "weights")
    pipes: list[StableDiffusionPipeline] = []
    with server() as (client, _, _):
        unet, vae = precision_of(client)
        pipes += [pipeline(weights, unet, vae), pipeline(weights, "fp32", "fp32")]
        served, alike, stock = _in_turn(client, *pipes)
    with server(COMPILED) as (client, process, _):
        _until_compiled(client, process)
        compiled, *again = _in_turn(client, *pipes)
    with server() as (client, _, _):
        precision_of(client)
        p99, worst, calls = _status_under_load(client)
    what, ours = f"POST /generate, mini, 512x512, 20 steps, in {unet} (vae {vae})", f"{served * 1000:.0f} ms"
    return [
        (what, ours, _peer("as it is, in fp32", stock, served, TARGET_STOCK)),
        ("the same, against the same precision", ours, _peer(f"in {unet} (vae {vae})", alike, served, TARGET_OVERHEAD)),
        (
            "the same, compiled",
            f"{compiled * 1000:.0f} ms",
            _peer("as it is, in fp32", again[1], compiled, TARGET_STOCK),
        ),
        (
            f"GET /status p99 while two generations run ({calls} calls)",
            f"{p99:.1f} ms",
            f"worst {worst:.1f} ms (target at most {TARGET_STATUS_MS:g} ms)",
        ),
    ]


def _peer(name: str, seconds: float, ours: float, target: float) -> str:
    stock = f"StableDiffusionPipeline in a loop, {name}: {seconds * 1000:.0f} ms"
    return f"{stock}, ratio {ours / seconds:.3f} (target at most {target:g})"


def precision_of(client: httpx.Client) -> tuple[str, str]:
    """Draw once, to warm up, and read from the picture in which precision: the denoiser's, the VAE's."""
    answer = client.post("/generate", json=REQUEST).raise_for_status()
    record = read_record(client.get(f"/images/{answer.headers['X-Image-Id']}").raise_for_status().content)
    named = re.findall(r"fp32|bf16|fp16", str(record.facts["dtype"]) if record else "fp32")
    return named[0], named[-1]


def _until_compiled(client: httpx.Client, server: int) -> None:
    """Draw until the denoiser is being compiled, and then leave the machine to the compiler."""
    while not (compilers := [each for each in Process(server).children(True) if _COMPILER in _command(each)]):
        client.post("/generate", json=REQUEST).raise_for_status()
    wait_procs(compilers)


def _command(process: Process) -> list[str]:
    with suppress(NoSuchProcess):
        return list(process.cmdline())
    return []


def _in_turn(client: httpx.Client, *pipes: StableDiffusionPipeline) -> list[float]:
    """Median seconds of the server and of each pipeline, in turn, so that whatever else goes on hits all alike."""
    ways: list[Callable[[], Any]] = [lambda: client.post("/generate", json=REQUEST).raise_for_status()]
    ways += [partial(draw, pipe, REQUEST) for pipe in pipes]
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS + 1):
        for way, kept in zip(ways, times, strict=True):
            began = time.perf_counter()
            way()
            kept.append(time.perf_counter() - began)
    return [statistics.median(kept[1:]) for kept in times]  # the first round warms up


def _status_under_load(client: httpx.Client) -> tuple[float, float, int]:
    """p99 and worst of `/status` in ms, with two clients drawing all the while."""
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            client.post("/generate", json=REQUEST).raise_for_status()

    with ThreadPoolExecutor(2) as drawers:
        for _ in range(2):
            drawers.submit(draw)
        with httpx.Client(base_url=client.base_url, timeout=60) as asker:
            times = sorted(_timed(asker) for _ in range(STATUS_CALLS))
        done.set()
    return times[int(len(times) * 0.99)], times[-1], len(times)


def _timed(asker: httpx.Client) -> float:
    began = time.perf_counter()
    asker.get("/status").raise_for_status()
    time.sleep(0.01)
    return (time.perf_counter() - began - 0.01) * 1000

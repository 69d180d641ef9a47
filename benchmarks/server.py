"""What the server adds to the engine, and whether it answers while it draws."""

from __future__ import annotations

import re
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import torch
from diffusers import StableDiffusionPipeline
from visioncraft import read_record
from visioncraft.runtime import Runtime
from visioncraft.settings import load_settings

from benchmarks.serving import server

MODEL = "visioncraft-mini"
ROUNDS = 24
TWO_AT_ONCE = "[plugins.config.local_sd]\nconcurrency = 2\n"
STATUS_CALLS = 400
REQUEST = {"prompt": "a red apple", "model": MODEL, "num_inference_steps": 20, "width": 512, "height": 512, "seed": 1}
TARGET_OVERHEAD = 1.05
TARGET_STATUS_MS = 20.0


def rows() -> list[tuple[str, str, str]]:
    """Server time over engine time, and `/status` under load: (what, ours, against what)."""
    with server() as (client, _, _):
        dtype = _dtype_of(client)
        pipeline = _pipeline(dtype)
        served, direct = _alternate(client, pipeline)
    with server(TWO_AT_ONCE) as (client, _, _):
        _dtype_of(client)
        p99, worst, calls = _status_under_load(client)
    ratio = statistics.median(served) / statistics.median(direct)
    return [
        (
            f"POST /generate, mini, 512x512, 20 steps ({dtype})",
            f"{statistics.median(served) * 1000:.0f} ms",
            f"StableDiffusionPipeline in a loop {statistics.median(direct) * 1000:.0f} ms: "
            f"ratio {ratio:.3f} (target at most {TARGET_OVERHEAD})",
        ),
        (
            f"GET /status p99 while two generations run ({calls} calls)",
            f"{p99:.1f} ms",
            f"worst {worst:.1f} ms (target at most {TARGET_STATUS_MS:g} ms)",
        ),
    ]


def _dtype_of(client: httpx.Client) -> str:
    """Draw once, to warm up, and read from the picture which precision the server's measurement chose."""
    answer = client.post("/generate", json=REQUEST).raise_for_status()
    record = read_record(client.get(f"/images/{answer.headers['X-Image-Id']}").raise_for_status().content)
    return str(record.facts["dtype"]) if record else "fp32"


def _pipeline(dtype: str) -> StableDiffusionPipeline:
    """The stock pipeline in the server's own precision: `bf16`, or `bf16 (vae fp32)`."""
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    named = re.findall(r"fp32|bf16|fp16", dtype)
    source = Runtime(load_settings()).registry.model(MODEL).source
    pipeline = StableDiffusionPipeline.from_pretrained(source, torch_dtype=kinds[named[0]], safety_checker=None)
    pipeline.vae.to(kinds[named[-1]])
    pipeline.set_progress_bar_config(disable=True)
    _draw(pipeline)
    return pipeline


def _draw(pipeline: StableDiffusionPipeline) -> None:
    pipeline(
        REQUEST["prompt"],
        num_inference_steps=20,
        width=512,
        height=512,
        generator=torch.Generator().manual_seed(1),
    )


def _alternate(client: httpx.Client, pipeline: StableDiffusionPipeline) -> tuple[list[float], list[float]]:
    """Turn by turn, so that whatever else the machine does hits both alike."""
    served, direct = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        client.post("/generate", json=REQUEST).raise_for_status()
        middle = time.perf_counter()
        _draw(pipeline)
        direct.append(time.perf_counter() - middle)
        served.append(middle - began)
    return served, direct


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

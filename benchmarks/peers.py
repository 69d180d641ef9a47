"""What drawing under load is compared with: each peer draws the same pictures with the same model."""

from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from diffusers import StableDiffusionPipeline

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pipeline(weights: str, unet: str, vae: str) -> StableDiffusionPipeline:
    """The stock pipeline, its parts in the precisions named."""
    pipe = StableDiffusionPipeline.from_pretrained(weights, dtype=KINDS[unet], safety_checker=None)
    pipe.vae.to(KINDS[vae])
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: StableDiffusionPipeline, order: dict[str, Any]) -> None:
    """Draw what a body of `POST /generate` asks for."""
    generator = torch.Generator().manual_seed(order["seed"])
    names = ("prompt", "num_inference_steps", "guidance_scale", "width", "height")
    pipe(**{name: order[name] for name in names}, generator=generator)


def in_turn(pipe: StableDiffusionPipeline, orders: Sequence[dict[str, Any]]) -> float:
    """Seconds for all, one after the other."""
    began = time.perf_counter()
    for order in orders:
        draw(pipe, order)
    return time.perf_counter() - began


def in_threads(pipe: StableDiffusionPipeline, orders: Sequence[dict[str, Any]]) -> float:
    """Seconds for all as diffusers' own async server example draws them.

    Each request has a scheduler of its own over shared weights and runs in a thread
    (https://github.com/huggingface/diffusers/tree/main/examples/server-async); the tokenizer is locked, as there.
    """
    lock = threading.Lock()
    encode = pipe.encode_prompt

    def encode_alone(*args: Any, **options: Any) -> Any:
        with lock:
            return encode(*args, **options)

    def one(order: dict[str, Any]) -> None:
        scoped = copy.copy(pipe)
        scoped.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
        scoped.encode_prompt = encode_alone
        draw(scoped, order)

    return at_once(one, orders)


def at_once(one: Callable[[dict[str, Any]], Any], orders: Sequence[dict[str, Any]]) -> float:
    """Seconds for all, a client each."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(orders)) as clients:
        list(clients.map(one, orders))
    return time.perf_counter() - began


@contextmanager
def litserve(weights: str, unet: str, vae: str) -> Iterator[httpx.Client]:
    """A LitServe server that batches, as `litserver.py` has it."""
    with _serving("benchmarks.litserver", [], [weights, unet, vae], "/health") as client:
        yield client


@contextmanager
def server_async(folder: str, weights: str, unet: str, vae: str) -> Iterator[httpx.Client]:
    """diffusers' async server example, which lies in `folder`, as `asyncserver.py` runs it."""
    with _serving("benchmarks.asyncserver", [folder], [weights, unet, vae], "/api/status") as client:
        yield client


@contextmanager
def _serving(module: str, before: list[str], after: list[str], health: str) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", module, *before, str(port), *after]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    # LitServe unpacks its own files into the current folder, the example keeps pictures in the one for temporary files.
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TMPDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
                _until_ready(client, process, health, " ".join(command))
                yield client
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # asked to end, LitServe leaves its workers behind
            process.wait(30)


def _until_ready(client: httpx.Client, process: subprocess.Popen[bytes], health: str, command: str) -> None:
    limit = time.perf_counter() + 120
    while time.perf_counter() < limit and process.poll() is None:
        try:
            if client.get(health).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"a peer did not start; see why: {command}")

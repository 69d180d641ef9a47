"""A picture beside one busy program, as on any laptop: the server, local_onnx and stock diffusers, on two cores.

All are bound to the same two cores, and so is the program. Each draws some pictures alone and some beside it, in turn.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from benchmarks.server import REQUEST
from benchmarks.serving import server

CORES = 2
ROUNDS = 5
WARM_UP = 3
"""Pictures before those that count: a load, and the number of threads that is found while they are drawn."""

TARGET = 2.2
SETTINGS = '[plugins.config.local_sd]\ncompile = "off"\n'
ONNX = '[generation]\nbackends = ["local_onnx"]\n'
_SPIN = "while True: pass"
_PEER = "benchmarks.busy"

Row = tuple[str, str, str]
Draw = Callable[[], object]
Times = tuple[float, float]  # median seconds alone, and beside the busy program


def rows() -> list[Row]:
    """(what, ours, against what)."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:CORES])  # whatever is started from here on inherits it
    try:
        ours, threads = _served(SETTINGS, "local_sd")
        onnx, _ = _served(ONNX, "local_onnx")
        with _stock() as draw:
            stock = _timed(draw)
    finally:
        os.sched_setaffinity(0, allowed)
    what = f"POST /generate, mini, 512x512, 20 steps, on {CORES} cores beside one busy process"
    peer = f"stock diffusers, torch's own threads: {_shown(stock)}"
    return [
        (what, f"{_shown(ours)}, at most {TARGET:g} wanted; {threads} in use then", peer),
        ("the same by local_onnx", _shown(onnx), peer),
        ("the same alone", f"{ours[0]:.2f} s", f"stock diffusers {stock[0]:.2f} s, ratio {ours[0] / stock[0]:.2f}"),
    ]


def _shown(times: Times) -> str:
    alone, beside = times
    return f"{beside:.2f} s, alone {alone:.2f} s: {beside / alone:.2f} times"


def _served(toml: str, generator: str) -> tuple[Times, str]:
    """A server's times, and with how many threads it drew beside the busy program."""
    with server(toml) as (client, _, _):
        times = _timed(lambda: client.post("/generate", json=REQUEST).raise_for_status())
        return times, _threads(client, generator)


def _threads(client: httpx.Client, generator: str) -> str:
    facts: Mapping[str, object] = client.get("/status").json()["system_info"]["backends"].get(generator, {})
    return f"{facts.get('threads', 'all')} of {facts.get('most_threads', CORES)} threads"


def _timed(draw: Draw) -> Times:
    for _ in range(WARM_UP):
        draw()
    alone = _median(draw)
    with _busy():
        for _ in range(WARM_UP):
            draw()
        return alone, _median(draw)


def _median(draw: Draw) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        draw()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@contextmanager
def _busy() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", _SPIN]) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def _stock() -> Iterator[Draw]:
    """The stock pipeline in a process of its own, whose threads wait as torch has them wait."""
    command = [sys.executable, "-m", _PEER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield lambda: _ask(process)
        finally:
            process.kill()


def _ask(process: subprocess.Popen[str]) -> None:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    process.stdin.write("draw\n")
    process.stdin.flush()
    if not process.stdout.readline():
        raise RuntimeError(f"the stock pipeline ended; see why: echo draw | python -m {_PEER}")


def _serve_stock() -> None:
    """Draw a picture for every line that comes."""
    import visioncraft_mini
    from visioncraft import model_folder

    from benchmarks.peers import draw, pipeline

    pipe = pipeline(model_folder(str(visioncraft_mini.__file__), "weights"), "fp32", "fp32")
    for _ in sys.stdin:
        draw(pipe, REQUEST)
        print("drawn", flush=True)


if __name__ == "__main__":
    _serve_stock()

"""What jobs, the ledger and the process border cost, and how soon a lost worker is replaced."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import httpx
import psutil
from visioncraft.jobs.progress import NoProgress
from visioncraft.settings import Settings
from visioncraft.types.generation import GenerationRequest
from visioncraft.workers.in_process_pool import InProcessPool
from visioncraft.workers.pool import HostedGenerator, WorkerPool
from visioncraft.workers.process_pool import ProcessPool

from benchmarks.engine import NAME, BenchEngine, install
from benchmarks.serving import server

ROUNDS = 300
JOBS = 1000
KILLS = 10
BODY = {"prompt": "nothing", "model": "bench", "num_inference_steps": 1, "width": 64, "height": 64}
WAIT = {**BODY, "prompt": "wait"}
TOML = f"""[plugins]
enabled = ["{NAME}", "memory"]
[storage]
backend = "memory"
[jobs]
capacity = %d
max_reruns = 100
"""


def rows() -> list[tuple[str, str, str]]:
    """(what, ours, against what)."""
    with tempfile.TemporaryDirectory() as folder:
        environment = install(Path(folder))
        here, border = _border(environment)
        with server(TOML % (2 * JOBS), environment) as (client, process, _):
            idle = _resident(process)
            rate = _through_the_ledger(client)
            loaded = _resident(process)
        with server(TOML % 8, environment) as (client, _, _):
            p99, refused = _flood(client)
        with server(TOML % 8, environment) as (client, _, _):
            again = _again(client)
    return [
        (
            f"what the process border adds to a 512x512 picture ({ROUNDS} rounds)",
            f"{(border - here) * 1000:.2f} ms",
            f"in a thread {here * 1000:.2f} ms, in a worker {border * 1000:.2f} ms (target at most 5 ms more)",
        ),
        (f"jobs a second through the ledger, an engine that does nothing ({JOBS} jobs)", f"{rate:.0f}", ""),
        (
            "resident memory of the API process",
            f"{idle:.0f} MB idle, {loaded:.0f} MB after {JOBS} jobs",
            "target at most 150 MB",
        ),
        (
            f"GET /status p99 while {JOBS} requests meet a queue of 8",
            f"{p99:.1f} ms",
            f"{refused} of them refused with 429 (target at most 20 ms)",
        ),
        (f"from kill -9 of a worker to its job drawing again ({KILLS} times)", f"{again * 1000:.0f} ms", "median"),
    ]


def _border(environment: dict[str, str]) -> tuple[float, float]:
    """Median seconds of a picture in a thread of this process, and in a worker process."""
    os.environ["PYTHONPATH"] = environment["PYTHONPATH"]
    engine = BenchEngine()

    async def measure() -> tuple[float, float]:
        here, apart = InProcessPool({NAME: engine}), ProcessPool({NAME: HostedGenerator(NAME, engine)}, Settings())
        pools: tuple[WorkerPool, WorkerPool] = (here, apart)
        for pool in pools:
            await _one(pool)
        times = [[await _one(pool) for pool in pools] for _ in range(ROUNDS)]
        await asyncio.gather(*(pool.close() for pool in pools))
        return statistics.median(row[0] for row in times), statistics.median(row[1] for row in times)

    return asyncio.run(measure())


async def _one(pool: WorkerPool) -> float:
    request = GenerationRequest("nothing", BenchEngine().models()[0], num_inference_steps=1)
    began = time.perf_counter()
    await pool.run(NAME, request, NoProgress())
    return time.perf_counter() - began


def _through_the_ledger(client: httpx.Client) -> float:
    """Jobs a second, from the first request to the last picture."""
    client.post("/generate", json=BODY).raise_for_status()
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as clients:
        ids = list(clients.map(lambda _: client.post("/jobs", json=BODY).raise_for_status().json()["id"], range(JOBS)))
    while client.get(f"/jobs/{ids[-1]}").json()["status"] != "succeeded":
        time.sleep(0.005)
    return JOBS / (time.perf_counter() - began)


def _flood(client: httpx.Client) -> tuple[float, int]:
    """`/status` p99 in ms beside a flood of requests, and how many of those were refused."""
    client.post("/jobs", json=WAIT).raise_for_status()
    # The flood comes from a process of its own: in this one it would delay the clock's reader, not the server.
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere, httpx.Client(base_url=client.base_url) as asker:
        elsewhere.submit(os.getpid).result()
        asker.get("/status")  # the first one looks for devices
        flood, times = elsewhere.submit(_refused, str(client.base_url)), []
        while not flood.done():
            began = time.perf_counter()
            asker.get("/status").raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.01)
        return sorted(times)[int(len(times) * 0.99)], flood.result()


def _refused(server: str) -> int:
    """Send the flood from four clients at once; answers how many requests were refused."""
    with httpx.Client(base_url=server, timeout=60) as client, ThreadPoolExecutor(4) as clients:
        answers = clients.map(lambda _: client.post("/jobs", json=BODY).status_code, range(JOBS))
        return list(answers).count(429)


def _again(client: httpx.Client) -> float:
    """Median seconds from a worker's death to its job's next step."""
    job = client.post("/jobs", json=WAIT).raise_for_status().json()["id"]
    return statistics.median(_killed(client, job) for _ in range(KILLS))


def _killed(client: httpx.Client, job: str) -> float:
    while client.get(f"/jobs/{job}").json()["step"] != 1:
        time.sleep(0.001)
    worker = psutil.Process(client.get("/status").json()["system_info"]["backends"][NAME]["worker_pid"])
    began = time.perf_counter()
    worker.kill()
    while client.get(f"/jobs/{job}").json()["step"] == 1:
        time.sleep(0.001)
    while client.get(f"/jobs/{job}").json()["step"] != 1:
        time.sleep(0.001)
    return time.perf_counter() - began


def _resident(process: int) -> float:
    return float(psutil.Process(process).memory_info().rss) / 1e6

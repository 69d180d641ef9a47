"""Many clients at once: the server, whose requests share denoiser calls, against peers on the same model."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import visioncraft_mini
from visioncraft import model_folder

from benchmarks.peers import at_once, in_threads, in_turn, litserve, pipeline, server_async
from benchmarks.server import REQUEST, precision_of
from benchmarks.serving import server

CLIENTS = 16
ROUNDS = 2
SHORT_ROUNDS = 5
SEVERAL = 4
STEPS = (10, 20, 30, 15)
GUIDANCE = (7.5, 1.0, 5.0, 12.0)
TARGET_THROUGHPUT, TARGET_LAST, TARGET_SHORT = 2.0, 1.2, 2.0

EXAMPLE = os.environ.get("SERVER_ASYNC", "")
"""The folder of diffusers' async server example (examples/server-async in its repository); without it, no such row."""

Row = tuple[str, str, str]


def rows() -> list[Row]:
    """(what, ours, against what)."""
    weights = model_folder(str(visioncraft_mini.__file__), "weights")
    mixed = [order(number, STEPS[number % 4], GUIDANCE[number // 4]) for number in range(CLIENTS)]
    guided = [{**each, "guidance_scale": 7.5} for each in mixed]
    with server() as (client, _, _):
        unet, vae = precision_of(client)
        _at_once(client, mixed)  # which finds how many rows share a call
        stock = pipeline(weights, "fp32", "fp32")
        same = pipeline(weights, unet, vae)
        times = [(_at_once(client, mixed), in_turn(stock, mixed), in_turn(same, mixed)) for _ in range(ROUNDS)]
        ours, in_fp32, alike = (min(column) for column in zip(*times, strict=True))
        threads = in_threads(same, mixed)
        ours_guided = min(_at_once(client, guided) for _ in range(ROUNDS)) if EXAMPLE else 0.0
        further = [*_fairness(client), _several(client)]
    with litserve(weights, unet, vae) as peer:
        _post(peer, "/predict", mixed[0])
        lit = min(at_once(lambda body: _post(peer, "/predict", body), mixed) for _ in range(ROUNDS))
    what = f"{CLIENTS} clients at once, mini, 512x512, steps {min(STEPS)}-{max(STEPS)}, guidance 1-12"
    speed = _speed(ours)
    return [
        (what, speed, _peer("stock diffusers in turn, fp32", in_fp32, ours, f" (target {TARGET_THROUGHPUT:g})")),
        ("the same, in our precision", speed, _peer(f"stock diffusers in turn, {unet} (vae {vae})", alike, ours)),
        ("the same, against threads", speed, _peer("a scheduler each, as in server-async", threads, ours)),
        *([_example_row(weights, unet, vae, guided, ours_guided)] if EXAMPLE else []),
        ("the same, against batches of equals", speed, _peer("a LitServe server that batches up to 16", lit, ours)),
        *further,
    ]


def _example_row(weights: str, unet: str, vae: str, guided: Sequence[dict[str, Any]], ours: float) -> Row:
    """Its clients fetch their pictures, as its own test does: it answers where they are."""
    with server_async(EXAMPLE, weights, unet, vae) as peer:

        def one(body: dict[str, Any]) -> None:
            asked = {name: body[name] for name in ("prompt", "num_inference_steps")}
            answer = peer.post("/api/diffusers/inference", json=asked).raise_for_status().json()
            for address in answer["response"]:
                peer.get(httpx.URL(address).path).raise_for_status()

        one(guided[0])
        example = min(at_once(one, guided) for _ in range(ROUNDS))
    what = "the same with guidance 7.5, which the example cannot change"
    return what, _speed(ours), _peer("diffusers' server-async itself", example, ours)


def _fairness(client: httpx.Client) -> list[Row]:
    alone, beside = _short_beside_long(client)
    return [
        (
            f"{CLIENTS} equal requests at once, the last one's wait over the mean",
            f"{_last_over_mean(client):.2f}",
            f"target at most {TARGET_LAST:g}",
        ),
        (
            "4 steps that arrive while 50 steps run",
            f"{beside * 1e3:.0f} ms",
            f"alone {alone * 1e3:.0f} ms, ratio {beside / alone:.2f} (target at most {TARGET_SHORT:g})",
        ),
    ]


def _several(client: httpx.Client) -> Row:
    """Several pictures in one request, and in one each: medians."""
    one, whole, each = order(1, 20, 7.5), [], []
    for _ in range(SHORT_ROUNDS):
        whole.append(_post(client, "/generate", {**one, "num_images": SEVERAL}))
        each.append(sum(_post(client, "/generate", {**one, "seed": seed}) for seed in range(1, SEVERAL + 1)))
    several, in_turn_s = statistics.median(whole), statistics.median(each)
    against = f"as {SEVERAL} requests in turn {in_turn_s:.2f} s, ratio {several / in_turn_s:.2f}"
    return f"{SEVERAL} pictures in one request, 20 steps", f"{several:.2f} s", against


def order(seed: int, steps: int, guidance: float) -> dict[str, Any]:
    """A body of `POST /generate`."""
    return {**REQUEST, "num_inference_steps": steps, "guidance_scale": guidance, "seed": seed}


def _speed(seconds: float) -> str:
    return f"{CLIENTS / seconds:.2f} pictures/s"


def _peer(name: str, seconds: float, ours: float, target: str = "") -> str:
    return f"{name}: {_speed(seconds)}, ratio {seconds / ours:.2f}{target}"


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> float:
    """Seconds that one request took."""
    began = time.perf_counter()
    client.post(path, json=body).raise_for_status()
    return time.perf_counter() - began


def _at_once(client: httpx.Client, orders: Sequence[dict[str, Any]]) -> float:
    return at_once(lambda body: _post(client, "/generate", body), orders)


def _last_over_mean(client: httpx.Client) -> float:
    equal = [order(seed, 20, 7.5) for seed in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        waits = list(clients.map(lambda body: _post(client, "/generate", body), equal))
    return max(waits) / statistics.mean(waits)


def _short_beside_long(client: httpx.Client) -> tuple[float, float]:
    """Median seconds of 4 steps alone, and while a picture of 50 steps is drawn."""
    short, long = order(1, 4, 7.5), order(2, 50, 7.5)
    alone = statistics.median(_post(client, "/generate", short) for _ in range(SHORT_ROUNDS))
    beside = []
    with ThreadPoolExecutor(1) as other:
        for _ in range(SHORT_ROUNDS):
            running = other.submit(_post, client, "/generate", long)
            _until_it_runs(client)
            beside.append(_post(client, "/generate", short))
            running.result()
    return alone, statistics.median(beside)


def _until_it_runs(client: httpx.Client) -> None:
    while not any(job["step"] for job in client.get("/jobs", params={"status": "running"}).json()["jobs"]):
        time.sleep(0.005)

"""Where people wait: the help text, the server's first answer, and the first picture of a fresh data folder."""

from __future__ import annotations

import statistics
import subprocess
import time

import httpx

from benchmarks.server import MODEL, REQUEST
from benchmarks.serving import VISIONCRAFT, server

ROUNDS = 7
FIRST_ROUNDS = 3
LATER = 5
TARGET_FIRST = 3.0
WARM = '[workers]\nwarm = "on"\n'
COLD = '[workers]\nwarm = "off"\n'
_LOADED_LIMIT_S = 300.0


def rows() -> list[tuple[str, str, str]]:
    """Medians: (what, ours, against what)."""
    helps = [_help() for _ in range(ROUNDS)]
    starts = []
    for _ in range(ROUNDS):
        with server() as (_, _, seconds):
            starts.append(seconds)
    waited = [_first(WARM) for _ in range(FIRST_ROUNDS)]
    at_once = [_first(COLD) for _ in range(FIRST_ROUNDS)]
    return [
        ("visioncraft --help", f"{statistics.median(helps) * 1000:.0f} ms", "target under 200 ms"),
        ("visioncraft serve until its first answer", f"{statistics.median(starts):.2f} s", "target under 1.5 s"),
        _row("first picture of a fresh data folder, the server having waited (workers.warm)", waited, TARGET_FIRST),
        _row("first picture of a fresh data folder, asked for with nothing loaded", at_once, None),
        (
            "from the first answer until the default model is loaded, with no request",
            f"{statistics.median(loaded for _, _, loaded in waited):.1f} s",
            "",
        ),
    ]


def _row(what: str, times: list[tuple[float, float, float]], target: float | None) -> tuple[str, str, str]:
    first, later = (statistics.median(column) for column in list(zip(*times, strict=True))[:2])
    wanted = f" (target at most {target:g})" if target else ""
    return what, f"{first:.2f} s", f"a later one {later:.2f} s, ratio {first / later:.1f}{wanted}"


def _first(toml: str) -> tuple[float, float, float]:
    """Seconds of the first picture and the median of later ones, and until the model was loaded by itself."""
    with server(toml) as (client, _, _):
        loaded = _until_loaded(client) if toml == WARM else 0.0
        first, *later = (_drawn(client) for _ in range(1 + LATER))
        return first, statistics.median(later), loaded


def _until_loaded(client: httpx.Client) -> float:
    began = time.perf_counter()
    while client.get("/status").json()["current_model"] != MODEL:
        if time.perf_counter() - began > _LOADED_LIMIT_S:
            raise RuntimeError("the default model was not loaded; run visioncraft serve by hand to see why")
        time.sleep(0.1)
    return time.perf_counter() - began


def _drawn(client: httpx.Client) -> float:
    began = time.perf_counter()
    client.post("/generate", json=REQUEST).raise_for_status()
    return time.perf_counter() - began


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([VISIONCRAFT, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began

"""Where people wait: the help text, and the server's first answer."""

from __future__ import annotations

import statistics
import subprocess
import time

from benchmarks.serving import VISIONCRAFT, server

ROUNDS = 7


def rows() -> list[tuple[str, str, str]]:
    """Medians: (what, ours, against what)."""
    helps = [_help() for _ in range(ROUNDS)]
    starts = []
    for _ in range(ROUNDS):
        with server() as (_, _, seconds):
            starts.append(seconds)
    return [
        ("visioncraft --help", f"{statistics.median(helps) * 1000:.0f} ms", "target under 200 ms"),
        ("visioncraft serve until its first answer", f"{statistics.median(starts):.2f} s", "target under 1.5 s"),
    ]


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([VISIONCRAFT, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began

"""kill -9 between an order and its answer, and between the answer and the picture: the next run goes on from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from standin import KEY, StandIn
from visioncraft.testing import PATIENCE_S
from visioncraft.types.ids import new_job_id
from visioncraft_leonardo.ledger import Ledger, State

DRIVER = Path(__file__).parent / "support" / "driver.py"
KILLS = int(os.environ.get("VISIONCRAFT_LEONARDO_KILLS", "2"))
"""How often each place is tried; the long form is `make soak`."""


@pytest.fixture
def settings(tmp_path: Path, standin: StandIn) -> Path:
    file = tmp_path / "settings.toml"
    table: dict[str, Any] = {"base_url": standin.base_url, "poll_s": 0.01, "poll_max_s": 0.05, "reconcile_s": 1.0}
    table["private_hosts"] = ["127.0.0.1"]
    lines = ["[plugins.config.leonardo]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
    file.write_text("\n".join(lines) + "\n")
    return file


def start(settings: Path, job_id: str, prompt: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VISIONCRAFT_")}
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(settings), job_id, prompt],
        env={**clean, "LEONARDO_API_KEY": KEY},
        stdout=subprocess.PIPE,
        text=True,
    )


def killed(settings: Path, standin: StandIn, job_id: str, prompt: str) -> None:
    """Start a job, and kill its process while the stand-in holds an answer back."""
    standin.held.clear()
    standin.release.clear()
    process = start(settings, job_id, prompt)
    assert standin.held.wait(PATIENCE_S), "the process never got there"
    process.kill()
    process.communicate()
    standin.release.set()


def run_again(settings: Path, job_id: str, prompt: str) -> dict[str, Any]:
    process = start(settings, job_id, prompt)
    said, _ = process.communicate(timeout=PATIENCE_S)
    answer: dict[str, Any] = json.loads(said)
    return answer


@pytest.mark.parametrize("route", ["order", "generation", "picture"])
def test_a_killed_job_ends_with_the_picture_that_it_ordered(route: str, settings: Path, standin: StandIn) -> None:
    for number in range(KILLS):
        job_id, prompt = new_job_id(), f"killed {route} {number}"
        standin.fault(route, "hold", prompt=prompt)
        killed(settings, standin, job_id, prompt)
        answer = run_again(settings, job_id, prompt)
        (made,) = standin.of(prompt)
        assert answer["facts"]["leonardo"]["generation"] == made["id"]
    assert standin.asked["order"] == KILLS


def test_a_job_killed_before_its_order_arrived_ends_as_unknown(settings: Path, standin: StandIn) -> None:
    job_id = new_job_id()
    standin.fault("order", "hold before")
    killed(settings, standin, job_id, "killed early")
    answer = run_again(settings, job_id, "killed early")
    assert (answer["error"], len(standin.generations)) == ("LEONARDO_API_ERROR", 0)
    found = Ledger(settings.parent / "data" / "leonardo.sqlite3").find(job_id)
    assert found is not None and found.state is State.UNKNOWN
    assert standin.asked["order"] == 1

"""`visioncraft jobs`, against a running server."""

from __future__ import annotations

import json
import subprocess
from itertools import count

import pytest
from harness import Server
from visioncraft.testing import PATIENCE_S
from visioncraft.testing.commands import PIPE

_gates = count()


@pytest.fixture
def gate() -> str:
    return f"jobs-cli-gate-{next(_gates)}"


def jobs(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return server.house.command("jobs", *arguments, "--server", server.url)


def test_jobs_are_listed_for_people_and_programs(fake: Server) -> None:
    job = fake.submit("a listed one")
    fake.ended(job)
    shown = jobs(fake, "list", "--limit", "1")
    assert job in shown.stdout and "a listed one" in shown.stdout and "succeeded" in shown.stdout
    assert json.loads(jobs(fake, "list", "--json", "--status", "succeeded").stdout)[0]["id"] == job


def test_one_job_is_watched_until_its_picture(fake: Server, gate: str) -> None:
    job = fake.submit(f"gated {gate}", num_inference_steps=15)
    watcher = fake.house.begin("jobs", "watch", job, "--server", fake.url, stdout=PIPE)
    fake.permit(gate, 15)
    out, _ = watcher.communicate(timeout=PATIENCE_S)
    image = fake.ended(job)["image"]["id"]
    assert watcher.returncode == 0 and out.startswith(f"{job}: {image} drawn by fake")
    assert jobs(fake, "watch", job).stdout == out


def test_a_job_is_cancelled_and_watching_it_then_fails(fake: Server, gate: str) -> None:
    job = fake.submit(f"gated {gate}")
    assert jobs(fake, "cancel", job).stdout.startswith(f"{job}: ")
    fake.permit(gate, 1)
    fake.until(job, "cancelled")
    watched = jobs(fake, "watch", job)
    assert watched.returncode == 1 and f"{job}: cancelled" in watched.stderr


def test_the_queue_is_paused_and_goes_on(fake: Server) -> None:
    assert jobs(fake, "pause").stdout.startswith("The queue stands still")
    job = fake.submit("waits")
    assert fake.get(f"/jobs/{job}").json()["status"] == "queued"
    assert jobs(fake, "resume").stdout.startswith("The queue goes on")
    assert fake.ended(job)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cancel", "job_none"), "No job 'job_none'"),
        (("list", "--status", "lost"), "status"),
        (("list", "--server", "http://127.0.0.1:1"), "No VisionCraft server answers at http://127.0.0.1:1"),
        (("watch", "--server", "http://127.0.0.1:1"), "start it: visioncraft serve"),
        (("list", "--server", "nowhere"), "No VisionCraft server answers at nowhere"),
    ],
)
def test_what_goes_wrong_is_one_line(fake: Server, arguments: tuple[str, ...], said: str) -> None:
    own = () if "--server" in arguments else ("--server", fake.url)
    done = fake.house.command("jobs", *arguments, *own)
    assert done.returncode == 1 and done.stderr.lstrip().startswith("Error: ") and said in done.stderr
    assert done.stderr.strip().count("\n") == 0

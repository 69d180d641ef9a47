"""kill -9 at random moments, of workers and of the server in turn, while clients ask for pictures.

A short run here; `make soak` sets VISIONCRAFT_KILLS=200.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Timer

import httpx
import psutil
import pytest
from harness import House, Server, fake_house, served
from visioncraft import read_record_file
from visioncraft.testing import PATIENCE_S

KILLS = int(os.environ.get("VISIONCRAFT_KILLS", "4"))
LONGEST_S = 0.4  # until a kill


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


@contextmanager
def killed_soon(process: psutil.Process, chance: random.Random) -> Iterator[None]:
    """A process ends at a random moment while the block runs, or just after."""
    timer = Timer(chance.uniform(0, LONGEST_S), kill, [process])
    timer.start()
    yield
    timer.join()


def ask(server: Server, key: str) -> str | None:
    """Queue a picture; None where the server is gone. Asked again under its key, it is the same job."""
    body = {"prompt": f"noise {key}", "width": 128, "height": 128}
    with suppress(httpx.TransportError):
        answer = server.post("/jobs", body, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])
    return None


def worker(server: Server, job: str | None) -> psutil.Process:
    """The worker, which has drawn that job."""
    server.ended(str(job))
    return psutil.Process(server.get("/status").json()["system_info"]["backends"]["fake_engine"]["worker_pid"])


def live_and_die(house: House, keys: Iterator[str], accepted: dict[str, str | None], chance: random.Random) -> None:
    """One server's life: its worker is killed in it, then it is."""
    with served(house) as server:
        first = next(keys)
        accepted[first] = ask(server, first)
        for victim in (worker(server, accepted[first]), psutil.Process(server.process.pid)):
            with killed_soon(victim, chance):
                for _ in range(6):
                    key = next(keys)
                    accepted[key] = ask(server, key)
        server.process.wait(PATIENCE_S)


def intact(database: Path) -> bool:
    with sqlite3.connect(database) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


@pytest.mark.timeout(3600)
def test_every_accepted_job_ends_exactly_once_with_one_picture_whatever_is_killed(tmp_path: Path) -> None:
    house = fake_house(tmp_path)
    house.tables["jobs"] = {"capacity": 10_000, "max_reruns": 100}
    accepted: dict[str, str | None] = {}
    keys, chance = (f"key-{number}" for number in count()), random.Random(1)
    for _ in range(KILLS // 2):
        live_and_die(house, keys, accepted, chance)
    with served(house) as server:
        # A client whose connection broke asks again under the same key.
        jobs = {key: job or ask(server, key) for key, job in accepted.items()}
        ended = [server.ended(str(job)) for job in set(jobs.values())]
        assert [job for job in ended if job["status"] != "succeeded"] == []
        assert len({job["image"]["id"] for job in ended}) == len(ended) == server.pictures()
    files = list(house.gallery.rglob("generated_image_*.png"))
    records = [read_record_file(file) for file in files]
    assert sorted(record.id for record in records if record) == sorted(job["image"]["id"] for job in ended)
    assert {str(record.facts["job"]) for record in records if record} == {job["id"] for job in ended}
    databases = list(house.folder.rglob("*.sqlite3"))
    assert len(databases) >= 1 and all(intact(file) for file in databases)

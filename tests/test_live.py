"""Watching and steering jobs over the wire: events, the socket of all jobs, keys, the queue."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from harness import House, Server, error_of, served
from websockets.sync.client import connect

_gates = count()
FLOOD = int(os.environ.get("VISIONCRAFT_FLOOD", "60"))
HANG_UPS = int(os.environ.get("VISIONCRAFT_HANG_UPS", "4"))
"""How many requests at once, and how many clients that leave; `make soak` asks for more."""
SIZE = {"width": 64, "height": 64}


@pytest.fixture
def gate() -> str:
    return f"live-gate-{next(_gates)}"


def events(
    server: Server, job: str, after: str | None = None
) -> Generator[tuple[str, str, dict[str, Any]], None, None]:
    """Name, id and data of each Server-Sent Event, as they come."""
    headers = {"Last-Event-ID": after} if after else {}
    with server.client.stream("GET", f"/jobs/{job}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                yield fields["event"], fields["id"], json.loads(fields["data"])
                fields = {}


def test_a_job_is_watched_from_the_queue_to_its_picture(fake: Server, gate: str) -> None:
    first = fake.submit(f"gated {gate}", **SIZE)
    fake.until(first, "running")
    job = fake.submit(f"gated {gate}", num_inference_steps=15, **SIZE)
    stream = events(fake, job)
    name, _, data = next(stream)
    assert (name, data["position"], data["status"]) == ("queued", 1, "queued")
    assert data["eta_s"] > 0
    fake.permit(gate, 35)
    told = list(stream)
    assert [data["step"] for name, _, data in told if name == "step" and data["stage"] == "drawing"] == [*range(1, 16)]
    previews = [data["preview"] for name, _, data in told if name == "preview"]
    assert len(previews) == 1 and previews[0].startswith("data:image/png;base64,iVBOR")
    name, _, last = told[-1]
    assert (name, last["status"], last["eta_s"]) == ("succeeded", "succeeded", None)
    assert fake.get(last["image"]["url"]).status_code == 200


def test_a_late_watcher_gets_the_state_first_and_a_returning_one_what_it_missed(fake: Server, gate: str) -> None:
    job = fake.submit(f"gated {gate}", num_inference_steps=15, **SIZE)
    fake.permit(gate, 3)
    stream = events(fake, job)
    seen = next(number for name, number, data in stream if data["step"] == 3)
    stream.close()
    fake.permit(gate, 12)
    fake.ended(job)
    missed = list(events(fake, job, after=seen))
    assert [data["step"] for name, _, data in missed if name == "step"] == [*range(4, 16)]
    assert missed[-1][0] == "succeeded"
    late = list(events(fake, job))
    assert [name for name, _, _ in late] == ["succeeded"]
    assert [name for name, _, _ in events(fake, job, after="of-another-run")] == ["succeeded"]


@pytest.mark.parametrize("seen", ["of-another-run", "0", "x" * 64, "\u00fc".encode("latin-1"), b"\xff\xfe"])
def test_who_heard_a_jobs_end_gets_204_so_that_a_browser_stops_coming_back(fake: Server, seen: str | bytes) -> None:
    job = fake.submit("short", **SIZE)
    fake.ended(job)
    path = f"/jobs/{job}/events"
    told = fake.get(path, headers={"Last-Event-ID": seen})
    assert (told.status_code, told.text.count("event: ")) == (200, 1)
    last = next(line for line in told.text.splitlines() if line.startswith("id: ")).removeprefix("id: ")
    for _ in range(2):
        again = fake.get(path, headers={"Last-Event-ID": last})
        assert (again.status_code, again.content) == (204, b"")
    error_of(fake.get(path, headers={"Last-Event-ID": "x" * 65}), 400, "VALIDATION_ERROR")


def test_the_end_is_heard_once_after_a_restart_too(house: House) -> None:
    with served(house) as server:
        job = server.submit("short", **SIZE)
        server.ended(job)
    with served(house) as server:
        name, last, _ = next(events(server, job))
        assert name == "succeeded"
        assert server.get(f"/jobs/{job}/events", headers={"Last-Event-ID": last}).status_code == 204


def test_a_failed_and_a_cancelled_job_say_so_at_the_end(fake: Server, gate: str) -> None:
    failed = list(events(fake, fake.submit("fail: vram")))[-1]
    assert (failed[0], failed[2]["error"]["code"]) == ("failed", "INSUFFICIENT_VRAM")
    job = fake.submit(f"gated {gate}", **SIZE)
    fake.delete(f"/jobs/{job}")
    fake.permit(gate, 1)
    assert list(events(fake, job))[-1][0] == "cancelled"


def test_events_of_an_unknown_job_are_not_found(fake: Server) -> None:
    answer = fake.get("/jobs/job_01kb0v7m3qj4x5n6p7r8s9t0ab/events")
    assert "job_01kb0v7m3qj4x5n6p7r8s9t0ab" in error_of(answer, 404, "NOT_FOUND")["message"]


def test_one_socket_tells_of_all_jobs_and_begins_with_those_under_way(fake: Server, gate: str) -> None:
    running = fake.submit(f"gated {gate}", **SIZE)
    fake.until(running, "running")
    with connect(f"ws://127.0.0.1:{fake.port}/ws") as socket:
        first = json.loads(socket.recv())
        assert (first["id"], first["event"]) == (running, "running")
        other = fake.submit("another", **SIZE)
        fake.permit(gate, 20)
        ends: dict[str, str] = {}
        while len(ends) < 2:
            told = json.loads(socket.recv())
            if told["event"] in ("succeeded", "failed"):
                ends[told["id"]] = told["event"]
    assert ends == {running: "succeeded", other: "succeeded"}


def test_a_foreign_page_cannot_listen(fake: Server) -> None:
    from websockets.exceptions import InvalidStatus

    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://127.0.0.1:{fake.port}/ws", additional_headers={"Origin": "https://evil.example"}),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_the_same_idempotency_key_gives_the_same_job_and_picture(fake: Server) -> None:
    headers = {"Idempotency-Key": "a-key-of-mine"}
    body = {"prompt": "once", **SIZE}
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: fake.post("/generate", body, headers=headers), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-job-id"] for answer in answers}) == 1
    assert len({answer.json()["image"] for answer in answers}) == 1
    again = fake.post("/jobs", body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, answers[0].headers["x-job-id"])
    error = error_of(fake.post("/jobs", {"prompt": "other"}, headers=headers), 400, "VALIDATION_ERROR")
    assert error["details"]["field"] == "Idempotency-Key"


def test_a_paused_queue_accepts_and_waits(fake: Server) -> None:
    assert fake.post("/queue/pause").json()["paused"] is True
    try:
        job = fake.submit("later", **SIZE)
        assert fake.get(f"/jobs/{job}").json()["status"] == "queued"
        queue = {"paused": True, "trouble": None, "queued": 1, "running": 0, "capacity": 4}
        assert fake.get("/queue").json() == queue
    finally:
        assert fake.post("/queue/resume").json()["paused"] is False
    assert fake.ended(job)["status"] == "succeeded"


def test_jobs_are_listed_newest_first_and_by_their_state(fake: Server) -> None:
    first, second = fake.submit("one", **SIZE), fake.submit("fail: vram")
    fake.ended(first), fake.ended(second)
    assert [job["id"] for job in fake.get("/jobs?limit=2").json()["jobs"]] == [second, first]
    assert fake.get("/jobs?status=failed&limit=1").json()["jobs"][0]["id"] == second
    error_of(fake.get("/jobs?status=lost"), 400, "VALIDATION_ERROR")


def test_a_flood_is_bounded_and_nothing_accepted_is_lost(fake: Server, gate: str) -> None:
    def ask(number: int) -> tuple[int, str]:
        answer = fake.post("/jobs", {"prompt": f"gated {gate}", "num_inference_steps": 15, **SIZE})
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            return 429, ""
        return answer.status_code, str(answer.json()["id"])

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(ask, range(FLOOD)))
    accepted = [job for status, job in answers if status == 202]
    assert {status for status, _ in answers} == {202, 429}
    assert len(accepted) == 5  # four wait, one runs
    fake.permit(gate, 15 * len(accepted))
    assert [fake.ended(job)["status"] for job in accepted] == ["succeeded"] * len(accepted)


def hang_up(server: Server, gate: str, steps: int, **headers: str) -> None:
    """Ask for a picture, and leave when it has taken so many steps."""
    body = json.dumps({"prompt": f"gated {gate}", **SIZE}).encode()
    fields = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = "\r\n".join(["POST /generate HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""])
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head.encode() + body)
        server.permit(gate, steps)
        server.reached(gate, steps)


def test_every_client_that_hangs_up_stops_its_job_within_one_step(fake: Server, gate: str) -> None:
    for number in range(HANG_UPS):
        name = f"{gate}-{number}"
        hang_up(fake, name, 2)
        job = fake.get("/jobs?limit=1").json()["jobs"][0]["id"]
        while fake.get(f"/jobs/{job}").json()["stage"] not in ("cancelling", "cancelled"):
            pass
        fake.permit(name, 100)
        assert fake.ended(job)["status"] == "cancelled"
        assert fake.get(f"/fake/steps/{name}").json() <= 4  # two, the one under way, and the one that hears of it


def test_a_client_with_a_key_may_hang_up_and_come_back_for_its_picture(fake: Server, gate: str) -> None:
    hang_up(fake, gate, 1, **{"Idempotency-Key": gate})
    fake.permit(gate, 19)
    body = {"prompt": f"gated {gate}", **SIZE}
    assert fake.post("/generate", body, headers={"Idempotency-Key": gate}).status_code == 200
    assert fake.get(f"/fake/steps/{gate}").json() == 20

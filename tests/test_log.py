"""The server's log: what jobs do, who asked, under which id; and nothing that a stranger writes forges a line of it."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import House, Server, fake_house, served
from visioncraft.logs import JsonLine, SafeLine

SIZE = {"width": 64, "height": 64}
_BEGINNING = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+: ")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that logs into a file as JSON, and so does its worker."""
    house = fake_house(tmp_path_factory.mktemp("logged"))
    house.tables["logs"] = {"format": "json", "file": "here.log"}
    with served(house) as server:
        yield server


def lines(server: Server, **facts: object) -> list[dict[str, Any]]:
    """The log's lines that have these facts. The last may still be on its way into the file."""
    written = (server.house.folder / "here.log").read_text("ascii").splitlines(keepends=True)
    found = [json.loads(line) for line in written if line.endswith("\n")]
    return [line for line in found if all(line.get(name) == value for name, value in facts.items())]


def until_lines(server: Server, count: int, **facts: object) -> list[dict[str, Any]]:
    """As `lines`, once there are so many; pytest's timeout ends what never comes."""
    while len(found := lines(server, **facts)) < count:
        server.get("/health")
    return found


def test_a_jobs_life_is_three_lines_with_its_model_size_and_seconds(logged: Server) -> None:
    job = logged.submit("a secret wish", num_inference_steps=15, **SIZE)
    ended = logged.ended(job)
    accepted, started, done = until_lines(logged, 3, job=job)
    assert accepted["message"] == f"{job} accepted: fake, 64x64, 15 steps, for 127.0.0.1"
    assert started["message"].startswith(f"{job} started after ")
    assert (done["status"], done["model"], done["level"]) == ("succeeded", "fake", "info")
    assert done["seconds"] >= 0 and done["message"].endswith(ended["image"]["id"])
    assert "a secret wish" not in (logged.house.folder / "here.log").read_text("ascii")


def test_a_failed_job_says_why(logged: Server) -> None:
    job = logged.submit("fail: vram", **SIZE)
    logged.ended(job)
    assert until_lines(logged, 1, job=job, status="failed")[0]["message"].endswith(
        "INSUFFICIENT_VRAM: Not enough VRAM for requested resolution"
    )


def test_a_cancelled_job_says_who_wanted_it(logged: Server) -> None:
    job = logged.submit("gated log-cancel", **SIZE)
    logged.until(job, "running")
    assert logged.delete(f"/jobs/{job}").status_code == 200
    logged.permit("log-cancel", 5)
    logged.ended(job)
    assert until_lines(logged, 1, job=job, status="cancelled")[0]["message"].endswith("a client asked to")


def test_a_client_that_hangs_up_has_a_line_and_its_job_says_so(logged: Server) -> None:
    body = json.dumps({"prompt": "gated log-hang-up", **SIZE}).encode()
    head = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Request-Id: gone-1\r\n"
    with socket.create_connection(("127.0.0.1", logged.port)) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        logged.permit("log-hang-up", 1)
        logged.reached("log-hang-up", 1)
    logged.permit("log-hang-up", 10)
    (line,) = until_lines(logged, 1, request="gone-1", hung_up=True)
    assert line["message"].startswith('127.0.0.1 "POST /generate" hung up after ')
    job = lines(logged, request="gone-1", model="fake")[0]["job"]
    assert until_lines(logged, 1, job=job, status="cancelled")[0]["message"].endswith("its client hung up")


@pytest.mark.parametrize("sane", ["a", "req-1.2:3_4", "Root=1-67891233-abcdef", "x" * 128])
def test_a_sane_request_id_is_taken_over(logged: Server, sane: str) -> None:
    answer = logged.get("/queue?sane", headers={"X-Request-Id": sane})
    assert answer.headers["x-request-id"] == sane
    (line,) = until_lines(logged, 1, request=sane)
    assert line["message"].startswith('127.0.0.1 "GET /queue?sane" 200 in ') and line["seconds"] >= 0


@pytest.mark.parametrize("odd", ["", "two words", "x" * 129, b"\xff", "a\tb", "<script>", "\x1b[2J"])
def test_any_other_request_id_gives_way_to_one_of_our_own(logged: Server, odd: str | bytes) -> None:
    with socket.create_connection(("127.0.0.1", logged.port)) as client:
        sent = odd if isinstance(odd, bytes) else odd.encode()
        client.sendall(
            b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: " + sent + b"\r\n\r\n"
        )
        answer = b"".join(iter(lambda: client.recv(2**16), b""))
    if not answer.startswith(b"HTTP/1.1 400"):  # h11 refuses an escape in a header by itself
        (made,) = re.findall(rb"\r\nx-request-id: ([0-9a-f]{16})\r\n", answer.lower())
        assert until_lines(logged, 1, request=made.decode())


def test_every_answer_has_an_id_refusals_too(logged: Server) -> None:
    for options in ({"headers": {"Host": "evil.example"}}, {"headers": {"Origin": "https://evil.example"}}):
        answer = logged.get("/status", **options)
        assert answer.status_code == 403 and until_lines(logged, 1, request=answer.headers["x-request-id"], status=403)
    assert logged.get("/fake/crash").status_code == 500
    (traceback,) = until_lines(logged, 1, message="GET /fake/crash failed")
    assert "exception" in traceback and until_lines(logged, 1, request=traceback["request"], status=500)


def test_health_checks_are_not_logged_and_what_is_wrong_there_is(logged: Server) -> None:
    logged.get("/health", headers={"X-Request-Id": "well"})
    logged.client.post("/health", headers={"X-Request-Id": "wrong"})
    assert until_lines(logged, 1, request="wrong") and not lines(logged, request="well")


def test_a_restart_says_what_goes_on(house: House) -> None:
    house.tables["jobs"] = {"capacity": 8}
    with served(house) as server:
        for _ in range(3):
            server.submit("gated never", **SIZE)
    with served(house) as server:
        assert "3 jobs go on that an earlier server left: job_" in server.log.read_text("utf-8")


FORGED = "apple.safetensors\n2026-11-27 10:00:00,000 INFO: job_1 succeeded\x1b[2J\r\u202egnp\x9b0m\u2028end"


def record(message: str, *arguments: object, trouble: BaseException | None = None) -> logging.LogRecord:
    facts = (type(trouble), trouble, trouble.__traceback__) if trouble else None
    return logging.LogRecord("visioncraft.x", logging.WARNING, __file__, 1, message, arguments, facts)


def test_no_name_and_no_traceback_forges_a_line_or_steers_the_terminal() -> None:
    formatter = SafeLine("%(asctime)s %(levelname)s: %(message)s")
    for each in (record(FORGED), record("%s is odd", FORGED), record("failed", trouble=ValueError(FORGED))):
        said = formatter.format(each)
        first, *rest = said.split("\n")
        assert _BEGINNING.match(first) and not any(_BEGINNING.match(line) for line in rest)
        assert all(line.startswith("  ") for line in rest) and all(line.isprintable() for line in [first, *rest])
        assert json.loads(JsonLine().format(each))["level"] == "warning"
        assert JsonLine().format(each).isascii() and JsonLine().format(each).isprintable()
    assert formatter.format(record("模型 ü 🍎")).endswith("模型 ü 🍎")


def test_a_log_file_that_cannot_be_written_stops_the_start_with_the_setting(house: House, tmp_path: Path) -> None:
    house.tables["logs"] = {"file": str(tmp_path)}
    done = house.command("serve", "--port", "0")
    assert done.returncode == 1 and f"{tmp_path} cannot be written" in done.stderr and "logs.file" in done.stderr

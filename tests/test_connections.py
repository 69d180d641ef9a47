"""Who may talk to the server at once, and how long a client may be slow or silent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from harness import Server, error_of, fake_house, served
from sockets import ask, closing_code, connect, crowd, frame, handshake, until_closed, was_cut_off

LIMITS = {
    "max_connections": 12,
    "head_timeout_s": 2.0,
    "body_timeout_s": 2.0,
    "write_timeout_s": 2.0,
    "keep_alive_s": 1,
    "max_body_bytes": 2**20,
    "body_memory_bytes": 2**20,
}

POST = b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with room for few, and little patience."""
    house = fake_house(tmp_path_factory.mktemp("small"))
    house.tables["server"] = LIMITS
    with served(house) as server:
        yield server


SLOW = {
    "nothing": (b"", 0),
    "half a head": (b"GET /health HTTP/1.1\r\nHost: 127", 408),
    "no body": (POST, 408),
    "half a body": (POST + b'{"prompt": "', 408),
    "no body, answered without": (b"GET /queue HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n", 200),
    "no second request": (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
}
"""What a client sends before it falls silent, and the status that it is ended with; 0 for none."""


def test_a_client_that_does_not_go_on_is_ended(small: Server) -> None:
    with ExitStack() as stack:
        clients = {name: stack.enter_context(connect(small)) for name in SLOW}
        for name, client in clients.items():
            client.sendall(SLOW[name][0])
        answers = {name: until_closed(client) for name, client in clients.items()}
    assert {name: answer.status for name, answer in answers.items()} == {name: end for name, (_, end) in SLOW.items()}
    late = [(answer.code, answer.headers["connection"]) for answer in answers.values() if answer.status == 408]
    assert late == [("REQUEST_TIMEOUT", "close")] * 3


def test_a_client_that_takes_nothing_of_its_answer_is_ended_and_one_that_waits_is_not(small: Server) -> None:
    job = small.submit("gated long")
    with ExitStack() as stack:
        watcher = stack.enter_context(small.client.stream("GET", f"/jobs/{job}/events"))
        lines = watcher.iter_lines()
        assert next(lines).startswith("event:")
        deaf = stack.enter_context(connect(small))
        asked = b"GET /docs-assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        deaf.sendall(asked * 8)  # some 12 MB: the system holds about 4 for a client
        assert was_cut_off(deaf)
        small.permit("long", 100)
        assert "succeeded" in "".join(lines)


def test_silent_connections_make_room_for_those_who_ask(small: Server) -> None:
    with crowd(small, 40) as clients:
        for _ in range(3):
            assert ask(small, "GET /health HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n").status == 200
        assert until_closed(clients[0]).status == 0


def test_where_all_connections_are_being_answered_a_newcomer_is_told_to_come_back(small: Server) -> None:
    small.post("/queue/pause")  # what draws would ask this server too
    job = small.submit("crowd")
    watch = f"GET /jobs/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with ExitStack() as stack:
        watchers = []
        for _ in range(20):
            client = stack.enter_context(connect(small))
            client.sendall(watch)
            if b" 200 " not in (head := client.recv(100)):
                break
            watchers.append(client)
        assert head.startswith(b"HTTP/1.1 503 ") and len(watchers) == LIMITS["max_connections"]
        answer = until_closed(client, head)
        assert answer.code == "SERVICE_UNAVAILABLE" and int(answer.headers["retry-after"]) >= 1
    small.post("/queue/resume")
    assert small.ended(job)["status"] == "succeeded"


def test_bodies_on_their_way_have_a_bound_together_and_small_requests_pass_it(small: Server) -> None:
    large = {"prompt": "x", "init_image": "A" * 600_000}
    with connect(small) as client:
        client.sendall(POST + b" " * 800_000)
        while (refused := small.post("/jobs", large)).status_code != 503:
            error_of(refused, 400, "VALIDATION_ERROR")  # until what was sent has come, it is taken, and is no picture
        error_of(refused, 503, "SERVICE_UNAVAILABLE")
        assert int(refused.headers["retry-after"]) >= 1
        assert small.draw().status_code == 200
    while (answer := small.post("/jobs", large)).status_code == 503:
        pass
    error_of(answer, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "flood",
    [frame(1, 2**62), frame(2, 5000, b"x" * 100), frame(1, 0, final=False) + frame(0, 0, final=False) * 2000],
    ids=["a frame without end", "a large message", "a message of empty frames"],
)
def test_a_websocket_takes_no_large_messages(small: Server, flood: bytes) -> None:
    with connect(small) as client:
        client.sendall(handshake())
        assert b" 101 " in client.recv(4096)
        client.sendall(flood)
        assert closing_code(client) == 1009


@pytest.mark.parametrize("header", ["Origin: https://evil.example", "Authorization: Bearer nothing"])
def test_a_refused_websocket_is_no_error_of_the_servers(small: Server, header: str) -> None:
    name, _, value = header.partition(": ")
    with connect(small) as client:
        client.sendall(handshake("/ws" if name == "Origin" else "/nowhere", **{name: value}))
        assert until_closed(client).status in (403, 404)
    assert small.get("/health").status_code == 200
    assert "ASGI callable" not in small.log.read_text("utf-8")


def test_a_request_with_two_lengths_is_the_last_of_its_connection(small: Server) -> None:
    head = "POST /queue/resume HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 5\nTransfer-Encoding: chunked\n\n"
    answer = ask(small, head, b"0\r\n\r\n" + b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert answer.status == 200 and "paused" in json.loads(answer.content)


def test_more_connections_than_the_system_allows_cost_no_accepted_job_and_fill_no_log(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    house = fake_house(tmp_path_factory.mktemp("scarce"))
    house.prefix = ("sh", "-c", 'ulimit -n 128; exec "$@"', "sh")
    with served(house) as server:
        jobs = [server.submit(f"gated scarce-{number}") for number in range(3)]
        with crowd(server, 400):
            assert ask(server, "GET /health HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n").status == 200
            for number in range(3):
                server.permit(f"scarce-{number}", 100)
            assert [server.ended(job)["status"] for job in jobs] == ["succeeded"] * 3
        log = server.log.read_text("utf-8")
    assert "Traceback" not in log and len(log.splitlines()) < 100

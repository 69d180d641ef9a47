"""Programs that cannot run here: their requests byte by byte, and their reading of the answers."""

from __future__ import annotations

import json
import socket
from http.client import HTTPResponse
from io import BytesIO
from typing import Any

import pytest
from harness import Server
from PIL import Image
from replays import DRAWS, EDITS, Request

ALL = pytest.mark.parametrize("request_", (*DRAWS, *EDITS), ids=lambda each: each.program)


def begun(server: Server, request: Request, prompt: str, image: bytes) -> socket.socket:
    """The connection on which a request has been sent."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(request.raw(f"127.0.0.1:{server.port}", prompt, image))
    return connection


def sent(server: Server, request: Request, prompt: str, image: bytes) -> tuple[HTTPResponse, Any]:
    with begun(server, request, prompt, image) as connection, HTTPResponse(connection) as answer:
        answer.begin()
        return answer, json.loads(answer.read())


@ALL
def test_a_program_is_answered_an_image_that_it_can_read(
    openai_server: Server, request_: Request, apple: bytes
) -> None:
    answer, document = sent(openai_server, request_, "a red apple", apple)
    assert answer.status == 200, document
    with Image.open(BytesIO(request_.read(document))) as image:
        assert document["size"] == f"{image.width}x{image.height}"


@ALL
def test_a_program_that_is_refused_can_say_why(openai_server: Server, request_: Request, apple: bytes) -> None:
    """Open WebUI shows its user the reason phrase and nothing else; the others show the message."""
    answer, document = sent(openai_server, request_, "apple\x07", apple)
    assert (answer.status, answer.reason) == (400, "Bad Request")
    assert document["error"]["param"] == "prompt" and "control character" in document["error"]["message"]


@ALL
def test_a_program_that_hangs_up_frees_the_queue(openai_server: Server, request_: Request, apple: bytes) -> None:
    gate = request_.program.replace(" ", "-").replace("/", "")
    with begun(openai_server, request_, f"gated {gate}", apple):
        openai_server.permit(gate, 1)
        openai_server.reached(gate, 1)
        [job] = openai_server.get("/jobs?status=running").json()["jobs"]
    openai_server.permit(gate, 100)
    assert openai_server.ended(job["id"])["status"] == "cancelled"


def test_programs_that_find_the_queue_full_are_told_when_to_come_back(openai_server: Server, apple: bytes) -> None:
    for number in range(3):
        openai_server.submit("gated busy", priority=3 - number)
        if number == 0:
            openai_server.permit("busy", 1)
            openai_server.reached("busy", 1)
    for request in (*DRAWS, *EDITS):
        answer, document = sent(openai_server, request, "one too many", apple)
        assert (answer.status, answer.reason) == (429, "Too Many Requests"), request.program
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert document["error"]["code"] == "rate_limit_exceeded"
    openai_server.permit("busy", 1000)
    for job in openai_server.get("/jobs?limit=5").json()["jobs"]:
        openai_server.ended(job["id"])


def test_what_a_cloud_may_have_been_paid_for_has_a_status_that_no_program_repeats(
    openai_server: Server, apple: bytes
) -> None:
    for request in DRAWS:
        answer, document = sent(openai_server, request, "fail: upstream", apple)
        assert answer.status == 424 and answer.headers["x-should-retry"] == "false", request.program
        assert document["error"]["type"] == "upstream_error"

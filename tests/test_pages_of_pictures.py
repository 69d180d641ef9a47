"""Answers with pictures in them: the contract's JSON to the letter, in memory that no reader and no page can grow."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
from harness import Server, fake_house, served

PICTURES, READERS = 10, 6
LARGE = {"model": "fake-few-steps", "width": 2048, "height": 1024, "num_inference_steps": 1, "guidance_scale": 1}
ROOM = 100 * 2**20
"""What a server may grow by; a page has 84 MB of base64, and there are six readers."""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with ten pictures of 6 MB."""
    with served(fake_house(tmp_path_factory.mktemp("full"))) as server:
        for _ in range(PICTURES):
            assert server.draw("noise", **LARGE).status_code == 200
        yield server


def memory(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def asked(server: Server, path: str) -> socket.socket:
    """A connection on which that path was asked for and the first byte has come; nothing else is read."""
    client = socket.create_connection(("127.0.0.1", server.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert client.recv(1)
    return client


def test_a_page_is_the_contracts_json_with_every_picture_whole(full: Server) -> None:
    page = full.get("/gallery?limit=3&offset=2").json()
    bare = full.get("/gallery?limit=3&offset=2&image_data=false").json()
    assert list(page) == ["images", "total_count", "limit", "offset", "total_is_exact", "next_cursor"]
    for shown, entry in zip(page["images"], bare["images"], strict=True):
        assert list(shown) == [*entry, "image_data"]
        assert base64.b64decode(shown.pop("image_data"), validate=True) == full.get(entry["url"]).content
    assert page == bare
    assert full.get("/gallery?offset=1000").json() == {**bare, "images": [], "offset": 1000, "limit": 50} | {
        "next_cursor": None
    }


@pytest.mark.parametrize("path", ["/gallery?limit=500", "/gallery/export", "/images/{id}"])
def test_readers_that_do_not_read_cost_next_to_nothing(full: Server, path: str) -> None:
    newest = full.get("/gallery?limit=1&image_data=false").json()["images"][0]["id"]
    assert full.get("/gallery?limit=1").status_code == 200  # what is imported and allocated once
    before = memory(full)
    with ExitStack() as stack:
        for _ in range(READERS):
            stack.enter_context(asked(full, path.format(id=newest)))
        assert full.get("/health").status_code == 200
        assert memory(full) - before < ROOM


def test_a_whole_page_costs_a_piece_of_it(full: Server) -> None:
    before = peak = memory(full)
    with full.client.stream("GET", "/gallery?limit=500") as answer:
        for _ in answer.iter_raw(2**22):
            peak = max(peak, memory(full))
    assert peak - before < ROOM // 2


def test_several_pictures_of_megabytes_are_answered_with_their_length(full: Server) -> None:
    with full.client.stream("POST", "/generate", json={"prompt": "noise", **LARGE, "num_images": 3}) as answer:
        length = int(answer.headers["content-length"])
        content = b"".join(answer.iter_raw())
    document = json.loads(content)
    assert len(content) == length and len(document["images"]) == 3
    assert document["image"] == document["images"][0]["image"]
    for each in document["images"]:
        assert base64.b64decode(each["image"], validate=True) == full.get(f"/images/{each['id']}").content


def test_a_picture_that_is_gone_takes_only_its_own_data_from_the_page(full: Server) -> None:
    newest = full.get("/gallery?limit=1&image_data=false").json()["images"][0]
    (file,) = full.house.gallery.rglob(newest["filename"])
    content = file.read_bytes()
    file.unlink()
    try:
        first, second = full.get("/gallery?limit=2").json()["images"]
        assert "image_data" not in first and second["image_data"]
    finally:
        file.write_bytes(content)

"""HTTP's methods: HEAD wherever GET is, and a 405 that lists what a path takes."""

from __future__ import annotations

import pytest
from harness import Server, error_of

OPEN = ["/", "/health", "/status", "/models", "/plugins", "/gallery", "/gallery/export", "/jobs", "/queue", "/docs"]
OPEN += ["/openapi.json", "/gallery?limit=3", "/nothing-there", "/fake/seen", "/generate"]
CHANGES = {"content-length", "transfer-encoding", "date", "x-request-id"}
"""Headers that differ: RFC 9110, 9.3.2 lets HEAD leave out what only the body's making tells."""


@pytest.mark.parametrize("path", OPEN)
def test_head_is_get_without_a_body(fake: Server, path: str) -> None:
    fake.draw("there", width=64, height=64)
    get, head = fake.get(path), fake.client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    kept = [{name: value for name, value in each.headers.items() if name not in CHANGES} for each in (get, head)]
    assert kept[0] == kept[1]


def test_head_of_a_picture_and_of_a_jobs_events_ends_at_once(fake: Server) -> None:
    drawn = fake.draw("looked at", width=64, height=64).headers
    for path in (f"/images/{drawn['x-image-id']}", f"/images/{drawn['x-image-id']}/thumbnail"):
        assert fake.client.head(path).headers["content-length"] == fake.get(path).headers["content-length"]
    job = fake.submit("gated never-permitted", width=64, height=64)
    assert fake.client.head(f"/jobs/{job}/events").headers["content-type"].startswith("text/event-stream")
    assert fake.delete(f"/jobs/{job}").status_code == 200
    fake.permit("never-permitted", 1)
    assert fake.ended(job)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/jobs", "GET, HEAD, POST"),
        ("/jobs/x", "GET, HEAD, DELETE"),
        ("/images/img_01m8f4santnfppf02jxrp4ctdp", "GET, HEAD, PATCH, DELETE"),
        ("/images/delete", "GET, HEAD, POST, PATCH, DELETE"),
        ("/generate", "POST"),
        ("/gallery", "GET, HEAD"),
        ("/fake/seen", "GET, HEAD, POST"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs-assets/x.js", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_all_that_it_does(fake: Server, path: str, methods: str) -> None:
    for method in ("PUT", "TRACE"):
        answer = fake.client.request(method, path)
        error_of(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == methods

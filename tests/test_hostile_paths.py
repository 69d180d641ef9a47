"""Hostile ids, paths, hosts and origins: nothing is found, nothing changes, and the next request is served."""

from __future__ import annotations

import pytest
from harness import Server, envelope_of, error_of

pytestmark = pytest.mark.usefixtures("unharmed")

HOSTILE_IDS = [
    "..",
    "../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fapi_keys.json",
    "%2e%2e",
    "%00",
    "img_01kb0v7m3qj4x5n6p7r8s9t0ab%00",
    "img_01kb0v7m3qj4x5n6p7r8s9t0ab.png",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "%ff%fe",
    "%ed%a0%80",
    "C:%5cwindows",
    "~root",
    "x" * 10_000,
    "img_" + "0" * 10_000,
    "*",
    "%25",
    "job_01kb0v7m3qj4x5n6p7r8s9t0ab",
]


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["/images/", "/jobs/"])
def test_a_hostile_id_is_nothing_to_be_found(fake: Server, path: str, method: str, hostile: str) -> None:
    status, content = fake.raw(method, path + hostile)
    assert status in (404, 405), content
    error = envelope_of(content)
    assert error["code"] in ("NOT_FOUND", "METHOD_NOT_ALLOWED")
    assert b"root:" not in content and len(content) < 2000


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_a_hostile_id_has_no_thumbnail(fake: Server, hostile: str) -> None:
    status, content = fake.raw("GET", f"/images/{hostile}/thumbnail")
    assert status == 404
    envelope_of(content, "NOT_FOUND")


@pytest.mark.parametrize(
    "target", ["/docs-assets/../../../etc/passwd", "/docs-assets/%2e%2e/%2e%2e/core.py", "//", "/%"]
)
def test_a_hostile_path_is_nothing_to_be_found(fake: Server, target: str) -> None:
    status, content = fake.raw("GET", target)
    assert status == 404
    envelope_of(content, "NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e3", "limit"),
        ("limit=501", "limit"),
        ("offset=-1", "offset"),
        (f"offset={10**30}", "offset"),
        ("offset=NaN", "offset"),
        ("offset=%00", "offset"),
        ("image_data=maybe", "image_data"),
        ("model=" + "m" * 10000, "model"),
    ],
)
def test_a_gallery_query_that_makes_no_sense_is_refused(fake: Server, query: str, field: str) -> None:
    answer = fake.get(f"/gallery?{query}")
    assert error_of(answer, 400, "VALIDATION_ERROR")["details"]["field"] == field


@pytest.mark.parametrize("model", ["%00", "%ff", "' OR 1=1 --", "%25", "_", "../"])
def test_a_gallery_filter_that_fits_nothing_finds_nothing(fake: Server, model: str) -> None:
    fake.draw("kept", width=64, height=64)
    answer = fake.get(f"/gallery?model={model}")
    assert (answer.status_code, answer.json()["images"]) == (200, [])
    newest = fake.get("/gallery?limit=1&image_data=false").json()["images"][0]["id"]
    fake.delete(f"/images/{newest}")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil.example:8000", "", "a b", "[::1", "*"]
)
def test_a_foreign_host_is_refused(fake: Server, host: str) -> None:
    for path in ("/", "/gallery", "/docs"):
        status, content = fake.raw("GET", path, headers={"Host": host})
        assert status == 403
        envelope_of(content, "FORBIDDEN")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "null", "http://localhost:1@e.x"]
)
def test_a_foreign_origin_is_refused(fake: Server, origin: str) -> None:
    for method, path in (("GET", "/gallery"), ("POST", "/generate"), ("OPTIONS", "/generate"), ("DELETE", "/images/x")):
        status, content = fake.raw(method, path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert status == 403
        envelope_of(content, "FORBIDDEN")


def test_an_origin_of_this_machine_is_welcome(fake: Server) -> None:
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    preflight = fake.client.options("/generate", headers={**asked, "Access-Control-Request-Headers": "content-type"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"


@pytest.mark.parametrize("failing", ["/fake/crash", "/nowhere", "/gallery?limit=x"])
def test_a_page_can_read_what_went_wrong(fake: Server, failing: str) -> None:
    answer = fake.get(failing, headers={"Origin": "http://localhost:3000"})
    assert envelope_of(answer.content)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"

"""Who is let in, whom a request is believed to come from, and what leads back to the server behind a proxy."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from harness import House, Server, error_of, fake_house, served
from sockets import ask, connect, handshake, until_closed

TOKEN = "the-first-token-of-this-test"
CANARY = "canary-of-a-cloud-key"
SAFE = {"x-content-type-options": "nosniff", "x-frame-options": "DENY"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = fake_house(tmp_path_factory.mktemp("behind"))
    house.tables["server"] = {"trusted_proxies": ["127.0.0.0/8"], "allowed_hosts": ["localhost", "studio.example"]}
    house.tables["jobs"] = {"capacity": 100}
    (house.folder / "token").write_text(f"{TOKEN}\n", "utf-8")
    house.env = {"VISIONCRAFT_TOKEN_FILE": str(house.folder / "token"), "LEONARDO_API_KEY": CANARY}
    return house


@pytest.fixture(scope="module")
def behind(house: House) -> Iterator[Server]:
    """A server behind a proxy on this machine, its token in a file, started by exec, which `/proc` tells of."""
    house.prefix = ("env",)
    with served(house) as server:
        server.client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield server


def client_of(server: Server, headers: dict[str, str]) -> str:
    """Whom a job is taken to be of."""
    answer = server.post("/jobs", {"prompt": "x"}, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["client"])


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer forged"}, {"X-Forwarded-For": "10.0.0.1"}, {"Forwarded": "for=10.0.0.1"}]
)
def test_nobody_gets_a_turn_by_what_is_made_up(fake: Server, headers: dict[str, str]) -> None:
    assert client_of(fake, headers) == "127.0.0.1"


def basic(words: str) -> str:
    return f"Basic {base64.b64encode(words.encode()).decode()}"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": basic(f"anybody:{TOKEN}")},
        {"Authorization": basic(f":{TOKEN}")},
        {"Authorization": "Bearer ", "X-Api-Key": TOKEN},
        {"Authorization": "", "Api-Key": TOKEN},
        {"Authorization": "Basic ", "X-Goog-Api-Key": TOKEN},
    ],
)
def test_the_token_counts_in_every_header_that_programs_have_for_it(behind: Server, headers: dict[str, str]) -> None:
    # httpx refuses to send a value that ends in a space
    assert requests.get(f"{behind.url}/status", headers=headers, timeout=60).status_code == 200


@pytest.mark.parametrize("given", ["Basic ", "Bearer ", "Basic !!!", basic("a:b"), f"Digest {TOKEN}", TOKEN])
def test_nothing_else_counts_as_the_token(behind: Server, given: str) -> None:
    headers = {"Authorization": given}
    assert requests.get(f"{behind.url}/status", headers=headers, timeout=60).status_code == 401


def test_programs_in_docker_reach_the_machine_they_run_on(fake: Server) -> None:
    assert fake.get("/status", headers={"Host": "host.docker.internal:8000"}).status_code == 200
    refused = fake.get("/status", headers={"Host": "visioncraft:8000"})
    assert "server.allowed_hosts" in error_of(refused, 403, "FORBIDDEN")["message"]


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 127.0.0.9", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_a_trusted_proxy_says_who_asks(behind: Server, said: str, client: str) -> None:
    marks = {
        client_of(behind, {"X-Forwarded-For": said, "Authorization": f"Bearer {spaces}{TOKEN}"})
        for spaces in ("", "  ")
    }
    assert len(marks) == 1 and marks.pop().rpartition("#")[0] == client


def test_behind_a_proxy_every_link_leads_through_its_prefix(fake: Server) -> None:
    headers = {"X-Forwarded-Prefix": "/studio/"}
    assert fake.draw().status_code == 200
    for path in ("/gallery?image_data=false&limit=1", "/studio/gallery?image_data=false&limit=1"):
        (picture,) = fake.get(path, headers=headers).json()["images"]
        assert picture["url"] == f"/studio/images/{picture['id']}"
        assert picture["thumbnail_url"] == f"/studio/images/{picture['id']}/thumbnail"
        assert fake.get(picture["url"], headers=headers).status_code == 200
    made = fake.post("/jobs", {"prompt": "x"}, headers=headers)
    assert made.headers["location"] == f"/studio/jobs/{made.json()['id']}"
    assert fake.get("/openapi.json", headers=headers).json()["servers"] == [{"url": "/studio"}]
    page = fake.get("/docs", headers=headers).text
    assert '"/studio/docs-assets/swagger-ui-bundle.js"' in page and "'/studio/openapi.json'" in page
    assert "servers" not in fake.get("/openapi.json").json()


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "https://evil.example", "/a b", "studio", "/a'b", "/", "/a/../b?"]
)
def test_what_is_no_prefix_changes_nothing(fake: Server, prefix: str) -> None:
    made = fake.post("/jobs", {"prompt": "x"}, headers={"X-Forwarded-Prefix": prefix})
    assert made.headers["location"] == f"/jobs/{made.json()['id']}"
    fake.ended(made.json()["id"])


@pytest.mark.parametrize("path", ["/docs-assets/status", "/docs/status", "/health/status", "/studio/status"])
def test_a_prefix_opens_no_door(behind: Server, path: str) -> None:
    headers = {"X-Forwarded-Prefix": f"/{path.split('/')[1]}", "Authorization": ""}
    refused = error_of(httpx.get(behind.url + path, headers=headers), 401, "AUTHENTICATION_ERROR")
    assert refused["details"] == {"token": "missing"}


def test_a_proxy_says_which_host_and_scheme_its_client_used(behind: Server) -> None:
    headers = {"X-Forwarded-Host": "studio.example", "X-Forwarded-Proto": "https", "Origin": "https://studio.example"}
    assert behind.get("/status", headers=headers).status_code == 200
    error_of(behind.get("/status", headers={"X-Forwarded-Host": "evil.example"}), 403, "FORBIDDEN")
    with connect(behind) as client:
        client.sendall(handshake(Authorization=f"Bearer {TOKEN}", **headers))
        assert client.recv(100).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /health HTTP/1.0\n\n", 200),
        ("GET http://127.0.0.1:PORT/health HTTP/1.1\nHost: 127.0.0.1\n", 200),
        ("GET HTTP://localhost?q=1 HTTP/1.1\nHost: localhost\n", 200),
        ("GET http://localhost/health HTTP/1.1\nHost: evil.example\n", 200),  # RFC 9112, 3.2.2: the target's counts
        ("GET http://evil.example/health HTTP/1.1\nHost: localhost\n", 403),
        ("GET http://evil@localhost/health HTTP/1.1\nHost: localhost\n", 403),
        ("GET /health HTTP/1.1\nHost: evil.example@127.0.0.1\n", 403),
        ("GET /health HTTP/1.1\nHost: 127.0.0.1/evil\n", 403),
        ("GET /health HTTP/1.1\nHost: localhost:80:90\n", 403),
        ("GET /health HTTP/1.1\nHost:\n", 403),
        ("GET /health HTTP/1.1\nHost: [::1]:PORT\n", 200),
        ("GET /health HTTP/1.1\n", 400),
        ("GET /health HTTP/1.1\nHost: localhost\nOrigin: http://localhost\nOrigin: https://evil.example\n", 403),
        ("GET /health HTTP/1.1\nHost: localhost\nOrigin: http://localhost\nOrigin: http://127.0.0.1\n", 200),
    ],
)
def test_whom_a_request_is_for_and_whose_page_it_is_of(fake: Server, head: str, status: int) -> None:
    end = "" if head.endswith("\n\n") else "Connection: close\n\n"
    answer = ask(fake, head + end)
    assert answer.status == status, answer
    assert SAFE.items() <= answer.headers.items()


@pytest.mark.parametrize("path", ["/", "/docs", "/docs-assets/favicon.png", "/gallery", "/gallery/export", "/nowhere"])
def test_every_answer_tells_browsers_to_take_it_for_what_it_is(fake: Server, path: str) -> None:
    answer = fake.get(path)
    assert SAFE.items() <= answer.headers.items()
    assert answer.headers["cross-origin-resource-policy"] == "same-site"
    assert answer.headers.get_list("content-security-policy")[0].endswith("frame-ancestors 'none'")
    seen = fake.get(path, headers={"Referer": "http://127.0.0.1:3000/page"})
    assert seen.headers["cross-origin-resource-policy"] == "cross-origin"


def told(house: House, server: Server, **env: str) -> str:
    """What `visioncraft jobs list` says, with this environment."""
    kept = house.env
    house.env = env
    try:
        outcome = house.command("jobs", "list", "--server", server.url)
    finally:
        house.env = kept
    return outcome.stdout + outcome.stderr


def test_a_missing_token_and_a_wrong_one_are_told_apart(house: House, behind: Server) -> None:
    missing, wrong = httpx.get(f"{behind.url}/status"), behind.get("/status", headers={"Authorization": "Bearer other"})
    assert error_of(missing, 401, "AUTHENTICATION_ERROR")["details"] == {"token": "missing"}
    assert error_of(wrong, 401, "AUTHENTICATION_ERROR")["details"] == {"token": "wrong"}
    assert "asks for a token: set VISIONCRAFT_TOKEN" in told(house, behind)
    assert "has another token: set VISIONCRAFT_TOKEN" in told(house, behind, VISIONCRAFT_TOKEN="some-other-token")
    assert "job" in told(house, behind, VISIONCRAFT_TOKEN_FILE=str(house.folder / "token"))


def test_a_websocket_that_is_refused_for_its_token_says_so(behind: Server) -> None:
    with connect(behind) as client:
        client.sendall(handshake())
        answer = until_closed(client)
    assert (answer.status, answer.code) == (401, "AUTHENTICATION_ERROR")
    assert json.loads(answer.content)["error"]["details"] == {"token": "missing"}
    assert behind.get("/health").status_code == 200  # by now the server has said what it has to say of the one before
    assert "ASGI callable" not in behind.log.read_text("utf-8")


def test_nobody_reads_a_secret_from_what_the_server_was_started_with(behind: Server) -> None:
    proc = Path(f"/proc/{behind.process.pid}/environ")
    if proc.exists():
        try:
            started_with = proc.read_bytes()
        except PermissionError:  # nobody but root may look at all
            started_with = b""
        assert CANARY.encode() not in started_with
    assert behind.get("/models").json()["cloud_models"]


def test_a_new_token_in_the_file_counts_at_once_and_what_is_none_does_not(house: House, behind: Server) -> None:
    file = house.folder / "token"

    def statuses(*tokens: str) -> list[int]:
        return [behind.get("/queue", headers={"Authorization": f"Bearer {each}"}).status_code for each in tokens]

    second = "the-second-token-of-this-test"
    file.write_text(second, "utf-8")
    assert statuses(TOKEN, second) == [401, 200]
    file.write_text("short", "utf-8")
    assert statuses("short", second) == [401, 200]
    file.unlink()
    behind.process.send_signal(signal.SIGHUP)
    assert statuses(second) == [200]
    file.write_text(TOKEN, "utf-8")
    behind.process.send_signal(signal.SIGHUP)
    assert statuses(TOKEN, second) == [200, 401]
    assert "the token from before stays" in behind.log.read_text("utf-8")
    assert second not in behind.log.read_text("utf-8")

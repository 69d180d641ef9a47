"""Access keys: what each is for, whose jobs and images are whose, and how a key comes, changes and ends."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from dialect_kit import full_queue
from fastapi.routing import iter_route_contexts
from harness import ROOT, House, Server, addressed, error_of, fake_house, served
from markdown_it import MarkdownIt
from starlette.routing import Mount
from visioncraft import SCOPES, Settings
from visioncraft.access.keys import AccessKeys
from visioncraft.api.app import create_app
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_socket

USUAL = ("generate", "edit", "gallery:read", "gallery:write", "models:read")
OPEN = {("get", "/"), ("get", "/health"), ("get", "/health/live"), ("get", "/health/ready")}
"""What answers everybody."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = fake_house(tmp_path_factory.mktemp("keyed"))
    house.tables["jobs"] = {"capacity": 100}
    return house


@pytest.fixture(scope="module")
def keyed(house: House) -> Iterator[Server]:
    """A server without a token, and with the keys that tests make."""
    with served(house) as server:
        yield server


@pytest.fixture(scope="module")
def keys(house: House, keyed: Server) -> AccessKeys:
    assert httpx.get(f"{keyed.url}/status").status_code == 200, "without a key the server is open"
    keys = AccessKeys(house.folder / "data" / "access_keys.json")
    keys.create("first", ["admin"])
    return keys


@contextmanager
def of(server: Server, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


def shell(house: House) -> dict[str, str]:
    """A reader's environment after `. .venv/bin/activate`."""
    return house.environment() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def made(keys: AccessKeys, name: str, *scopes: str, **more: Any) -> str:
    return keys.create(name, scopes or USUAL, **more)[1]


def draw(client: httpx.Client, prompt: str = "a pear", **fields: Any) -> str:
    """The id of an image that a client has drawn."""
    answer = client.post("/generate", json={"prompt": prompt, "width": 64, "height": 64, **fields})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-image-id"]


def test_from_the_first_key_on_nobody_is_let_in_without_one(keyed: Server, keys: AccessKeys) -> None:
    error = error_of(httpx.get(f"{keyed.url}/status"), 401, "AUTHENTICATION_ERROR")
    assert "key" in error["message"]
    key = made(keys, "somebody")
    for headers in ({"X-Api-Key": key}, {"Authorization": f"bearer {key}"}):
        assert httpx.get(f"{keyed.url}/status", headers=headers).status_code == 200
    assert httpx.get(f"{keyed.url}/status", auth=("anybody", key)).status_code == 200
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert httpx.get(f"{keyed.url}/status", headers={"X-Api-Key": wrong}).status_code == 401


def test_only_a_hash_is_kept_and_for_its_owner_alone(house: House, keys: AccessKeys) -> None:
    secret = made(keys, "canary").rpartition("_")[2]
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    kept = [path for path in house.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == []


def _routes(document: dict[str, Any]) -> list[tuple[str, str, set[str]]]:
    """Method, path and scopes of every route that the server documents."""
    return [
        (method, path, {scope for asked in operation.get("security", ()) for scope in asked["token"]})
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def test_every_route_asks_for_its_scope_and_for_no_other(keyed: Server, keys: AccessKeys) -> None:
    with of(keyed, made(keys, "everything", "admin")) as client:
        routes = _routes(client.get("/openapi.json").json())
    assert {(method, path) for method, path, scopes in routes if not scopes} == OPEN
    for scope in SCOPES:
        with of(keyed, made(keys, f"only {scope}".replace(":", " "), scope)) as client:
            for method, path, needed in routes:
                answer = client.request(method, re.sub("{.*?}", "nothing", path))
                refused = answer.status_code == 403
                assert refused == (scope != "admin" and bool(needed - {scope})), (scope, method, path, answer.text)
                if refused:
                    assert error_of(answer, 403, "FORBIDDEN")["details"]["scope"] in needed


def test_another_ones_images_and_jobs_are_not_there(keyed: Server, keys: AccessKeys) -> None:
    with of(keyed, made(keys, "ada")) as ada, of(keyed, made(keys, "bob")) as bob:
        hers, his = draw(ada), draw(bob)
        job = ada.post("/jobs", json={"prompt": "hers", "width": 64, "height": 64}).json()["id"]
        for method, path in [
            ("GET", f"/images/{hers}"),
            ("GET", f"/images/{hers}/thumbnail"),
            ("PATCH", f"/images/{hers}"),
            ("DELETE", f"/images/{hers}"),
            ("POST", f"/images/{hers}/replay"),
            ("GET", f"/jobs/{job}"),
            ("GET", f"/jobs/{job}/events"),
            ("DELETE", f"/jobs/{job}"),
        ]:
            error_of(bob.request(method, path, json={} if method == "PATCH" else None), 404, "NOT_FOUND")
        assert bob.post("/images/delete", json={"ids": [hers]}).json()["deleted"] == []
        asked = {"prompt": "x", "width": 64, "height": 64, "init_image": hers}
        assert "no picture" in error_of(bob.post("/generate", json=asked), 400, "VALIDATION_ERROR")["details"]["issue"]
        listed = bob.get("/gallery", params={"image_data": False}).json()
        assert ([each["id"] for each in listed["images"]], listed["total_count"]) == ([his], 1)
        assert hers.encode() not in bob.get("/gallery/export").content
        assert job not in bob.get("/jobs").text
        assert ada.get(f"/images/{hers}").status_code == ada.get(f"/jobs/{job}").status_code == 200


def test_who_may_see_all_sees_all(keyed: Server, keys: AccessKeys) -> None:
    with of(keyed, made(keys, "cleo")) as cleo, of(keyed, made(keys, "overseer", *USUAL, "jobs:all")) as overseer:
        hers = draw(cleo)
        assert overseer.get(f"/images/{hers}").status_code == 200
        assert hers in overseer.get("/gallery", params={"image_data": False}).text
        assert cleo.post("/queue/pause").status_code == 403
        assert overseer.post("/queue/pause").json()["paused"] is True
        assert overseer.post("/queue/resume").json()["paused"] is False


def test_a_websocket_tells_of_ones_own_jobs_alone(keyed: Server, keys: AccessKeys) -> None:
    dora, emil = made(keys, "dora"), made(keys, "emil")
    address = f"ws://127.0.0.1:{keyed.port}/ws"
    with connect_socket(address, additional_headers={"Authorization": f"Bearer {emil}"}) as socket:
        with of(keyed, dora) as hers, of(keyed, emil) as his:
            draw(hers)
            job = his.post("/jobs", json={"prompt": "his", "width": 64, "height": 64}).json()["id"]
        told: list[dict[str, Any]] = []
        while not told or told[-1]["event"] != "succeeded":
            told.append(json.loads(socket.recv(timeout=60)))
    assert {each["id"] for each in told} == {job}


def test_a_websocket_without_the_scope_is_refused(keyed: Server, keys: AccessKeys) -> None:
    key = made(keys, "looker", "gallery:read")
    with pytest.raises(InvalidStatus) as refused:
        connect_socket(f"ws://127.0.0.1:{keyed.port}/ws", additional_headers={"X-Api-Key": key})
    assert refused.value.response.status_code == 403


def test_a_key_draws_from_images_only_where_it_is_for_that(keyed: Server, keys: AccessKeys) -> None:
    with of(keyed, made(keys, "no editor", "generate", "gallery:read")) as client:
        image = draw(client)
        asked = {"prompt": "x", "width": 64, "height": 64, "init_image": image}
        assert error_of(client.post("/generate", json=asked), 403, "FORBIDDEN")["details"]["scope"] == "edit"


def test_a_key_sees_and_uses_its_models_alone(keyed: Server, keys: AccessKeys) -> None:
    with of(keyed, made(keys, "one model", models=["leonardo-api"])) as client:
        shown = client.get("/models").json()
        assert {*shown["local_models"], *shown["cloud_models"]} == {"leonardo-api"}
        asked = {"prompt": "x", "model": "fake", "width": 64, "height": 64}
        error = error_of(client.post("/jobs", json=asked), 404, "MODEL_NOT_AVAILABLE")
        assert error["available_models"] == ["leonardo-api"]
        assert client.post("/jobs", json={"prompt": "x"}).json()["model"] == "leonardo-api"


def test_a_key_ends_at_its_time_by_revoking_and_after_a_rotation(keyed: Server, keys: AccessKeys) -> None:
    def status(key: str) -> int:
        return httpx.get(f"{keyed.url}/models", headers={"X-Api-Key": key}).status_code

    over = made(keys, "over", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert status(over) == 401
    old = made(keys, "turning")
    _, new = keys.rotate("turning", timedelta(hours=1))
    assert (status(old), status(new)) == (200, 200)
    _, newest = keys.rotate("turning", timedelta(0))
    assert (status(old), status(new), status(newest)) == (401, 401, 200)
    keys.revoke("turning")
    assert status(newest) == 401


def test_the_command_makes_shows_and_takes_back_keys(house: House, keyed: Server, keys: AccessKeys) -> None:
    made_key = house.command("keys", "create", "by hand", "--scopes", "models:read", "--expires", "1d")
    key = made_key.stdout.strip()
    assert httpx.get(f"{keyed.url}/models", headers={"X-Api-Key": key}).status_code == 200
    listed = {each["name"]: each for each in json.loads(house.command("keys", "list", "--json").stdout)}
    assert listed["by hand"]["scopes"] == ["models:read"] and listed["by hand"]["state"].startswith("until")
    assert house.command("keys", "revoke", "by hand").returncode == 0
    assert httpx.get(f"{keyed.url}/models", headers={"X-Api-Key": key}).status_code == 401


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["create", "first"], "there is a key 'first' already"),
        (["create", "x", "--scopes", "all"], "there is no scope 'all'"),
        (["create", "x", "--expires", "soon"], "write a date as 2027-01-31"),
        (["create", "../x"], "is no name for a key"),
        (["revoke", "nobody"], "there is no key 'nobody'"),
        (["rotate", "first", "--overlap", "9"], "is no span of time"),
    ],
)
def test_what_makes_no_key_is_told_in_one_line(house: House, keys: AccessKeys, said: list[str], words: str) -> None:
    outcome = house.command("keys", *said)
    assert outcome.returncode == 1 and words in outcome.stderr and outcome.stderr.count("\n") == 1


def test_where_the_file_of_keys_cannot_be_read_nobody_is_let_in(house: House, keyed: Server, keys: AccessKeys) -> None:
    whole = keys.path.read_bytes()
    keys.path.write_text("{", "utf-8")
    try:
        assert httpx.get(f"{keyed.url}/status").status_code == 401
    finally:
        keys.path.write_bytes(whole)
    assert httpx.get(f"{keyed.url}/health").status_code == 200


def test_every_command_of_the_page_on_operating_runs(tmp_path: Path) -> None:
    house = fake_house(tmp_path)
    fences = [
        token for token in MarkdownIt().parse((ROOT / "docs/operating.md").read_text("utf-8")) if token.type == "fence"
    ]
    with served(house) as server:
        for fence in fences:
            script = ["bash", "-euo", "pipefail", "-c", addressed(fence.content, server)]
            done = subprocess.run(script, cwd=tmp_path, env=shell(house), capture_output=True, text=True)
            assert done.returncode == 0, (fence.content, done.stderr)
    assert (tmp_path / "ada.key").read_text().startswith("vc_")


def test_ready_means_that_work_can_be_sent_here(fake: Server) -> None:
    assert fake.get("/health/live").json() == fake.get("/health/ready").json() == {"status": "ok"}
    with full_queue(fake, "ready"):
        error = error_of(fake.get("/health/ready"), 503, "SERVICE_UNAVAILABLE")
        assert "jobs wait" in error["message"] and fake.get("/health/live").status_code == 200


OPENED = {"/", "/health", "/health/live", "/health/ready", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}


def test_every_route_of_every_plugin_of_ours_names_a_scope(tmp_path: Path) -> None:
    tables = {"plugins": {"disabled": ["local_sd", "local_onnx"]}, "server": {"dialect_ports": "free"}}
    app = create_app(Settings.model_validate({"data_dir": tmp_path, **tables}))
    silent, asked = set(), {}
    for part in (app, *(each.app for each in app.state.ports)):
        for route in iter_route_contexts(part.routes):
            scopes = [
                scope
                for each in getattr(route, "dependencies", None) or ()
                for scope in getattr(each, "scopes", None) or ()
            ]
            if scopes:
                asked[str(route.path)] = scopes
            elif not isinstance(route.original_route, Mount):
                silent.add(route.path)
    assert silent == OPENED
    assert {scope for path, scopes in asked.items() for scope in scopes if not path.startswith("/app")} <= set(SCOPES)
    assert [path for path, scopes in asked.items() if "admin" in scopes] == ["/api-key"]

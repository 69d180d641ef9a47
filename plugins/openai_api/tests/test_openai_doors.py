"""Who is let in with a token, what answers without one, and routes that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import openai
import pytest
from harness import Server, served
from openai import OpenAI
from openai_house import openai_house

TOKEN = "the-token-of-this-test"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    house = openai_house(tmp_path_factory.mktemp("guarded"))
    house.env = {**house.env, "VISIONCRAFT_TOKEN": TOKEN}
    with served(house) as server:
        yield server


def client_of(server: Server, key: str) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def test_the_key_is_the_servers_token(guarded: Server) -> None:
    with client_of(guarded, TOKEN) as client:
        assert client.images.generate(prompt="fig", size="64x64").data
    with client_of(guarded, "wrong") as client, pytest.raises(openai.AuthenticationError) as refused:
        client.images.generate(prompt="fig", size="64x64")
    assert refused.value.code == "invalid_api_key" and "token" in refused.value.message


def test_a_url_opens_its_image_without_a_header_and_no_other(guarded: Server) -> None:
    with client_of(guarded, TOKEN) as client:
        answer = client.images.generate(prompt="fig", size="64x64", n=2, response_format="url")
    assert answer.data is not None
    first, second = (item.url or "" for item in answer.data)
    assert httpx.get(first).headers["content-type"] == "image/png"
    stolen = second.partition("?")[0] + "?" + first.partition("?")[2]
    assert httpx.get(stolen).status_code == 401
    assert first.startswith(guarded.url)


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_a_ping_is_answered_without_a_token_and_nothing_else_is(guarded: Server, prefix: str) -> None:
    path = f"{guarded.url}{prefix}/images/generations"
    ping = httpx.options(path)
    assert ping.status_code == 204 and ping.headers["allow"] == "OPTIONS, POST"
    assert httpx.post(path, json={"prompt": "fig"}).status_code == 401
    assert httpx.options(f"{guarded.url}/v1/models").status_code == 401


def test_what_is_no_route_and_no_method_is_answered_as_the_protocol_has_it(openai_server: Server) -> None:
    lost = openai_server.post("/v1/images/dreams", {"prompt": "fig"})
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "not_found")
    wrong = openai_server.get("/v1/images/generations")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]


def test_the_apis_own_routes_stay_what_they_are(openai_server: Server) -> None:
    assert "local_models" in openai_server.get("/models").json()
    assert openai_server.post("/images/delete", {"ids": []}).status_code in (200, 400)


def test_a_body_past_its_bound_is_refused_by_its_size(openai_server: Server) -> None:
    status, content = openai_server.raw("POST", "/v1/images/edits", None, {"Content-Length": str(2**40)})
    assert (status, json.loads(content)["error"]["param"]) == (400, "body")

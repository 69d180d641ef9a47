"""Dialects on ports of their own: what answers there, which guards stand before it, and what a taken port costs."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from visioncraft import Dialect
from visioncraft.testing import PATIENCE_S, House, Server, free_port, served
from websockets.sync.client import connect

TOKEN = "a-token-of-this-test"

PLUGIN = """
from contextlib import asynccontextmanager
from fastapi import APIRouter, Request, Response, WebSocket
from visioncraft import Dialect, PluginSettings, VisionCraftError, hookimpl, status_of

class Table(PluginSettings):
    port: int = 0

def told(request: Request, error: VisionCraftError) -> Response:
    return Response(f"spoken: {error.code}", status_of(error))

def router(service):
    begun = []

    @asynccontextmanager
    async def lifespan(app):
        begun.append("begun")
        yield

    routes = APIRouter(lifespan=lifespan)

    @routes.get("/")
    async def home():
        return {"begun": begun, "models": len(service.models())}

    @routes.post("/length")
    async def length(request: Request):
        return len(await request.body())

    @routes.get("/open")
    async def opened():
        return "open"

    @routes.websocket("/ws")
    async def talk(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    return routes

@hookimpl
def visioncraft_routers(settings, service):
    port = settings.plugin("spoken", Table).port
    return [Dialect(router(service), told, open_paths=["/open"], request_size=100, port=port)] if port else []
"""


def house_in(folder: Path, port: int, dialect_ports: str = "own") -> House:
    """A server with a dialect that wants this port."""
    tables: dict[str, Mapping[str, Any]] = {
        "plugins": {"enabled": ["spoken"], "trusted": ["spoken"]},
        "plugins.config.spoken": {"port": port},
        "server": {"dialect_ports": dialect_ports},
    }
    house = House(folder, tables)
    house.install("visioncraft-spoken", "spoken", PLUGIN)
    return house


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that asks for a token, its dialect on any free port."""
    house = house_in(tmp_path_factory.mktemp("ports"), 1, "free")
    house.env = {"VISIONCRAFT_TOKEN": TOKEN}
    with served(house) as server:
        yield server


@pytest.fixture(scope="module")
def spoken(server: Server) -> Iterator[httpx.Client]:
    """A client of the dialect's port that has the token."""
    with httpx.Client(base_url=server.url_of("spoken"), headers=server.client.headers, timeout=PATIENCE_S) as client:
        yield client


def test_the_dialect_answers_on_its_port_and_not_on_the_apis(server: Server, spoken: httpx.Client) -> None:
    assert spoken.get("/").json() == {"begun": ["begun"], "models": 0}
    assert server.get("/").json()["message"] == "VisionCraft Pro API"
    assert server.post("/length", "x").status_code == 404


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json", "/status", "/gallery", "/nowhere"])
def test_nothing_of_the_api_answers_there_and_errors_are_the_dialects(spoken: httpx.Client, path: str) -> None:
    answer = spoken.get(path)
    assert (answer.status_code, answer.text) == (404, "spoken: NOT_FOUND")


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/length"])
def test_its_port_asks_for_the_token_for_all_that_the_dialect_does_not_open(server: Server, path: str) -> None:
    url = server.url_of("spoken")
    answer = httpx.get(f"{url}{path}", timeout=PATIENCE_S)
    assert (answer.status_code, answer.text) == (401, "spoken: AUTHENTICATION_ERROR")
    assert httpx.get(f"{url}/open", timeout=PATIENCE_S).json() == "open"


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_foreign_hosts_and_origins_are_refused_there(spoken: httpx.Client, headers: dict[str, str]) -> None:
    answer = spoken.get("/open", headers=headers)
    assert (answer.status_code, answer.text) == (403, "spoken: FORBIDDEN")


def test_a_body_past_the_dialects_bound_is_refused_there(spoken: httpx.Client) -> None:
    assert spoken.post("/length", content=b"x" * 100).json() == 100
    assert spoken.post("/length", content=b"x" * 101).text == "spoken: VALIDATION_ERROR"


def test_a_websocket_is_spoken_there(server: Server) -> None:
    url = server.url_of("spoken").replace("http", "ws")
    with connect(f"{url}/ws", additional_headers={"Authorization": f"Bearer {TOKEN}"}) as talk:
        assert talk.recv() == "hello"


def test_the_ready_line_says_where_it_is(server: Server) -> None:
    assert f"spoken at {server.url_of('spoken')}" in server.log.read_text("utf-8")


def test_it_listens_where_the_plugin_says(tmp_path: Path) -> None:
    port = free_port()
    with served(house_in(tmp_path, port)) as server:
        assert server.url_of("spoken") == f"http://127.0.0.1:{port}"
        assert httpx.get(f"http://127.0.0.1:{port}/open", timeout=PATIENCE_S).json() == "open"
        assert server.plugin("spoken")["error"] is None


def test_a_taken_port_is_told_and_the_rest_is_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with served(house_in(tmp_path, port)) as server:
            told = server.plugin("spoken")
            assert told["status"] == "active"
            assert f"port {port} cannot be listened on" in told["error"]
            assert "[plugins.config.spoken]" in told["error"]
            assert "in trouble: spoken" in server.log.read_text("utf-8")
            assert server.get("/health").status_code == 200


def test_two_servers_ask_for_one_port_and_both_serve(tmp_path: Path) -> None:
    port = free_port()
    houses = [house_in(tmp_path / name, port) for name in ("one", "two")]
    with served(houses[0]) as first, served(houses[1]) as second:
        assert list(first.get("/status").json()["system_info"]["listening"]) == ["spoken"]
        assert second.get("/status").json()["system_info"]["listening"] == {}
        assert second.get("/health").status_code == 200


@pytest.mark.parametrize(("port", "dialect_ports"), [(0, "own"), (1, "off")], ids=["the plugin's", "the server's"])
def test_settings_switch_it_off(tmp_path: Path, port: int, dialect_ports: str) -> None:
    with served(house_in(tmp_path, port, dialect_ports)) as server:
        assert server.get("/status").json()["system_info"]["listening"] == {}
        assert server.plugin("spoken")["error"] is None


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_nobody_could_be_told_of_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        Dialect(port=port)

"""What the whole-system tests add to `visioncraft.testing`: the fake engine, the contract's envelope, raw requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import httpx
from visioncraft.testing import PATIENCE_S, House, Server as AnyServer, free_port, listening, served as served_by

__all__ = [
    "FAKES",
    "ROOT",
    "SUPPORT",
    "House",
    "Server",
    "addressed",
    "error_of",
    "fake_house",
    "free_port",
    "listening",
    "served",
]

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parent.parent
FAKES = ("fake_engine", "gallery_fs")
"""The plugins of a server that need not draw: they start fast."""


class Server(AnyServer):
    """A running server with the fake engine."""

    def permit(self, gate: str, steps: int) -> None:
        """Let the fake engine do `steps` steps of the prompt `gated <gate>`."""
        assert self.post(f"/fake/permits/{gate}/{steps}").status_code == 200

    def reached(self, gate: str, step: int) -> None:
        """Wait until the fake engine has begun that step."""
        assert self.get(f"/fake/reached/{gate}/{step}").json() is True

    def raw(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request whose target no client library tidies up."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request(method, target, body, dict(headers or {}))
        answer: HTTPResponse = connection.getresponse()
        with answer:
            content = answer.read()
        connection.close()
        return answer.status, content


def fake_house(folder: Path) -> House:
    """A house without heavy plugins."""
    plugins = {"enabled": list(FAKES), "trusted": ["fake_engine"]}
    house = House(folder, {"plugins": plugins, "jobs": {"capacity": 4}}, path=[SUPPORT])
    house.install("visioncraft-fake-engine", "fake_engine")
    return house


def addressed(text: str, server: AnyServer) -> str:
    """An example with this server in place of the one it names, on a port that may be another program's here."""
    text = text.replace("localhost:8000", f"localhost:{server.port}")
    return text.replace("http://localhost:8188", server.url_of("comfyui_api")) if "localhost:8188" in text else text


@contextmanager
def served(house: House, port: int | None = None) -> Iterator[Server]:
    """`visioncraft serve` in a process, until the block ends."""
    with served_by(house, port) as server:
        yield Server(server.house, server.port, server.process, server.log, server.client)


def refused(house: House) -> str:
    """Start a server that must not start; answers what it said."""
    house.tables["server"] = {**house.tables.get("server", {}), "port": free_port()}
    outcome = house.command("serve")
    assert outcome.returncode != 0, "the server started"
    return outcome.stdout + outcome.stderr


def error_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The contract's envelope, checked, and nothing beside it."""
    assert answer.status_code == status, answer.text
    return envelope_of(answer.content, code)


def envelope_of(content: bytes, code: str | None = None) -> dict[str, Any]:
    """The envelope in these bytes; strict UTF-8 and strict JSON."""
    document = json.loads(content.decode("utf-8"), parse_constant=lambda name: pytest_fail(f"{name} is no JSON"))
    assert list(document) == ["error"], document
    error: dict[str, Any] = document["error"]
    assert isinstance(error["message"], str) and error["message"]
    assert code is None or error["code"] == code, error
    return error


def pytest_fail(reason: str) -> None:
    """What `json` calls for NaN and Infinity."""
    raise AssertionError(reason)

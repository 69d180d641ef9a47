"""Real servers in processes of their own, over real sockets, and hand-made plugin distributions beside them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import httpx

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parent.parent
CLI = shutil.which("visioncraft", path=str(Path(sys.executable).parent)) or "visioncraft"
FAKES = ("fake_engine", "gallery_fs")
"""The plugins of a server that need not draw: they start fast."""


@dataclass(slots=True)
class House:
    """A settings file with its data folder, and plugins that only it sees.

    Parameters
    ----------
    folder: Holds everything.
    tables: The settings, as TOML tables by their dotted names; `""` is the top.
    env: Further environment variables.
    prefix: A command that starts the server's, as `nice`.
    """

    folder: Path
    tables: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()

    @property
    def gallery(self) -> Path:
        return self.folder / "data" / "gallery"

    @property
    def keys(self) -> Path:
        return self.folder / "api_keys.json"

    @property
    def site(self) -> Path:
        return self.folder / "site"

    def settings(self) -> Path:
        """Write the settings file."""
        lines = [line for name, table in sorted(self.tables.items()) for line in _toml(name, table)]
        path = self.folder / "settings.toml"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    def install(self, distribution: str, plugin: str, source: str | None = None) -> None:
        """Put a plugin beside the server as pip would leave it; without `source` it is a module of tests/support."""
        module = f"{distribution.replace('-', '_')}_module" if source is not None else plugin
        info = self.site / f"{distribution.replace('-', '_')}-1.2.3.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2.3\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[visioncraft]\n{plugin} = {module}\n", "utf-8")
        if source is not None:
            (self.site / f"{module}.py").write_text(source, "utf-8")

    def environment(self) -> dict[str, str]:
        """This process's environment without its own VisionCraft settings."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VISIONCRAFT_") and k != "LEONARDO_API_KEY"}
        path = os.pathsep.join((str(self.site), str(SUPPORT)))
        return clean | {"VISIONCRAFT_SETTINGS": str(self.settings()), "PYTHONPATH": path, **self.env}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `visioncraft <arguments>` to its end."""
        return subprocess.run(
            [CLI, *arguments], env=self.environment(), cwd=self.folder, capture_output=True, text=True, timeout=60
        )


@dataclass(slots=True)
class Server:
    """A running server."""

    house: House
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    client: httpx.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:
        return self.client.post(path, json=body, **options)

    def delete(self, path: str) -> httpx.Response:
        return self.client.delete(path)

    def draw(self, prompt: str = "red apple", **fields: object) -> httpx.Response:
        """`POST /generate`."""
        return self.post("/generate", {"prompt": prompt, **fields})

    def submit(self, prompt: str = "red apple", **fields: object) -> str:
        """`POST /jobs`; answers the id."""
        answer = self.post("/jobs", {"prompt": prompt, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def until(self, job: str, *states: str) -> dict[str, Any]:
        """Poll a job, as clients do, until it is in one of `states`; pytest's timeout ends what never comes."""
        while True:
            answer: dict[str, Any] = self.get(f"/jobs/{job}").json()
            if answer["status"] in states:
                return answer

    def ended(self, job: str) -> dict[str, Any]:
        """A job's last word."""
        return self.until(job, "succeeded", "failed", "cancelled")

    def permit(self, gate: str, steps: int) -> None:
        """Let the fake engine do `steps` steps of the prompt `gated <gate>`."""
        assert self.post(f"/fake/permits/{gate}/{steps}").status_code == 200

    def reached(self, gate: str, step: int) -> None:
        """Wait until the fake engine has begun that step."""
        assert self.get(f"/fake/reached/{gate}/{step}").json() is True

    def pictures(self) -> int:
        """How many pictures the gallery has."""
        return int(self.get("/gallery?limit=1&image_data=false").json()["total_count"])

    def raw(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request whose target no client library tidies up."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, target, body, dict(headers or {}))
        answer: HTTPResponse = connection.getresponse()
        with answer:
            content = answer.read()
        connection.close()
        return answer.status, content


def fake_house(folder: Path) -> House:
    """A house without heavy plugins."""
    house = House(folder, {"plugins": {"enabled": list(FAKES)}, "jobs": {"capacity": 4}})
    house.install("visioncraft-fake-engine", "fake_engine")
    return house


@contextmanager
def served(house: House, port: int | None = None) -> Iterator[Server]:
    """`visioncraft serve` in a process, until the block ends."""
    port = port or free_port()
    house.tables["server"] = {**house.tables.get("server", {}), "port": port}
    log = house.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*house.prefix, CLI, "serve"],
            env=house.environment(),
            cwd=house.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    headers = {"Authorization": f"Bearer {token}"} if (token := house.env.get("VISIONCRAFT_TOKEN")) else {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=280, headers=headers) as client:
        try:
            server = Server(house, port, process, log, client)
            _wait_until_ready(server)
            yield server
            alive = process.poll() is None
        finally:
            process.terminate()
            status = process.wait(30)
        assert status == 0 or not alive, f"asked to end, the server left with {status}:\n{log.read_text('utf-8')}"


def refused(house: House) -> str:
    """Start a server that must not start; answers what it said."""
    house.tables["server"] = {**house.tables.get("server", {}), "port": free_port()}
    outcome = house.command("serve")
    assert outcome.returncode != 0, "the server started"
    return outcome.stdout + outcome.stderr


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody has the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


def _wait_until_ready(server: Server) -> None:
    while server.process.poll() is None:
        try:
            if server.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            continue
    raise AssertionError(f"the server ended with {server.process.returncode}:\n{server.log.read_text('utf-8')}")


def _toml(name: str, table: Mapping[str, Any]) -> Sequence[str]:
    head = [f"[{name}]"] if name else []
    return [*head, *(f"{key} = {json.dumps(value)}" for key, value in table.items())]

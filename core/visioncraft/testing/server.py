"""The server as people run it: a process of its own on a real socket, and plugins installed beside it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse

from visioncraft.testing import commands
from visioncraft.testing.commands import Process, Stream

PATIENCE_S = 600.0
"""How long tests wait for what surely comes, in seconds: machines may be slow and busy. Nothing is measured by it."""

_LOOK_S = 0.05  # between two looks whether a server answers
CLI = shutil.which("visioncraft", path=str(Path(sys.executable).parent)) or "visioncraft"


@dataclass(slots=True)
class House:
    """A settings file with its data folder, and plugins that only it sees.

    Args:
        folder: Holds everything.
        tables: The settings, as TOML tables by their dotted names; `""` is the top.
        env: Further environment variables.
        prefix: A command that starts the server's, as `nice`.
        path: Further folders of modules.
        namespaces_of: A process whose disks its commands see (its user and mount namespaces, on Linux).
        cli: The command `visioncraft`; that of this interpreter by default.
    """

    folder: Path
    tables: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    path: Sequence[Path] = ()
    namespaces_of: int = 0
    cli: str = CLI

    @property
    def gallery(self) -> Path:
        """Where gallery_fs keeps pictures."""
        return self.folder / "data" / "gallery"

    @property
    def keys(self) -> Path:
        """Cloud services' keys."""
        return self.folder / "api_keys.json"

    @property
    def site(self) -> Path:
        """Where `install` puts plugins."""
        return self.folder / "site"

    def settings(self) -> Path:
        """Write the settings file.

        Nothing is loaded ahead of requests, and no plugin takes a port that all servers would want, unless the tables
        say so.
        """
        quiet = {"workers": {"warm": "off"}, "server": {"dialect_ports": "off"}}
        tables = {**self.tables, **{name: {**table, **self.tables.get(name, {})} for name, table in quiet.items()}}
        lines = [line for name, table in sorted(tables.items()) for line in _toml(name, table)]
        path = self.folder / "settings.toml"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    def install(self, distribution: str, plugin: str, source: str | None = None, requires: str = "visioncraft") -> None:
        """Put a plugin beside the server as pip would leave it.

        Args:
            distribution: Its name; the version is 1.2.3.
            plugin: The entry point's name.
            source: Its module's text; None where a module of the plugin's name can be imported already.
            requires: What it depends on.
        """
        module = f"{distribution.replace('-', '_')}_module" if source is not None else plugin
        info = self.site / f"{distribution.replace('-', '_')}-1.2.3.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        told = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2.3\nRequires-Dist: {requires}\n"
        (info / "METADATA").write_text(told, "utf-8")
        (info / "entry_points.txt").write_text(f"[visioncraft]\n{plugin} = {module}\n", "utf-8")
        if source is not None:
            (self.site / f"{module}.py").write_text(source, "utf-8")

    def environment(self) -> dict[str, str]:
        """This process's environment without its own VisionCraft settings."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VISIONCRAFT_") and k != "LEONARDO_API_KEY"}
        path = os.pathsep.join(map(str, (self.site, *self.path)))
        return clean | {"VISIONCRAFT_SETTINGS": str(self.settings()), "PYTHONPATH": path, **self.env}

    def command(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run `visioncraft <arguments>` to its end.

        Args:
            text: What it reads from stdin.
        """
        command, env = [self.cli, *arguments], self.environment()
        return commands.run(command, env, self.folder, PATIENCE_S, text, self.namespaces_of)

    def begin(self, *arguments: str, stdout: Stream = None, stderr: Stream = None) -> Process:
        """Start `visioncraft <arguments>`, behind the prefix.

        Args:
            stdout, stderr: As `subprocess.Popen` takes them; pipes hold text.
        """
        command = [*self.prefix, self.cli, *arguments]
        env, seen = self.environment(), self.namespaces_of
        return commands.start(command, env, self.folder, stdout=stdout, stderr=stderr, namespaces_of=seen)


@dataclass(slots=True)
class Server:
    """A running server."""

    house: House
    port: int
    process: Process
    log: Path
    client: httpx.Client

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        """`GET`."""
        return self.client.get(path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:
        """`POST` with a JSON body."""
        return self.client.post(path, json=body, **options)

    def delete(self, path: str) -> httpx.Response:
        """`DELETE`."""
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
        """Watch a job until it is in one of `states`; pytest's timeout ends what never comes.

        Raises `AssertionError` where it ends in another.
        """
        with connect_sse(self.client, "GET", f"/jobs/{job}/events") as events:
            for event in events.iter_sse():
                if event.data and event.json()["status"] in states:  # a quiet stream is kept open by empty ones
                    break
        answer: dict[str, Any] = self.get(f"/jobs/{job}").json()
        assert answer["status"] in states, f"{job} is {answer['status']}, not {' or '.join(states)}"
        return answer

    def ended(self, job: str) -> dict[str, Any]:
        """A job's last word."""
        return self.until(job, "succeeded", "failed", "cancelled")

    def plugin(self, name: str) -> dict[str, Any]:
        """What `GET /plugins` says of one."""
        found: dict[str, Any] = next(each for each in self.get("/plugins").json() if each["name"] == name)
        return found

    def url_of(self, plugin: str) -> str:
        """Where a plugin listens on a port of its own; settings must have said `dialect_ports = "free"`."""
        (url,) = self.get("/status").json()["system_info"]["listening"][plugin]
        return str(url)

    def pictures(self) -> int:
        """How many pictures the gallery has."""
        return int(self.get("/gallery?limit=1&image_data=false").json()["total_count"])


@contextmanager
def served(house: House, port: int | None = None) -> Iterator[Server]:
    """`visioncraft serve` in a process, until the block ends.

    Args:
        house: Its settings and plugins.
        port: Where to listen; any free port by default.

    Raises `AssertionError` with the log where it does not start, or does not end in order.
    """
    port = port or free_port()
    house.tables["server"] = {**house.tables.get("server", {}), "port": port}
    log = house.folder / "server.log"
    with log.open("wb") as output:
        process = house.begin("serve", stdout=output, stderr=subprocess.STDOUT)
    headers = {"Authorization": f"Bearer {token}"} if (token := house.env.get("VISIONCRAFT_TOKEN")) else {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, headers=headers) as client:
        try:
            server = Server(house, port, process, log, client)
            _wait_until_ready(server)
            yield server
            alive = process.poll() is None
        finally:
            process.terminate()
            status = process.wait(PATIENCE_S)
        assert status == 0 or not alive, f"asked to end, the server left with {status}:\n{log.read_text('utf-8')}"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody has the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until_ready(server: Server) -> None:
    while server.process.poll() is None:
        try:
            if server.get("/health").status_code == 200:
                return
        except httpx.TransportError:  # a loop without a pause would take the processor from the server that starts
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(_LOOK_S)
    raise AssertionError(f"the server ended with {server.process.returncode}:\n{server.log.read_text('utf-8')}")


def _toml(name: str, table: Mapping[str, Any]) -> Sequence[str]:
    head = [f"[{name}]"] if name else []
    return [*head, *(f"{key} = {json.dumps(value)}" for key, value in table.items())]

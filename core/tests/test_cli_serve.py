"""`visioncraft serve`: a real process on a real socket."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import httpx
import pytest
from visioncraft.testing import PATIENCE_S, commands
from visioncraft.testing.commands import PIPE, Process

COMMAND = Path(sys.executable).with_name("visioncraft")


ENDLESS = """
from pathlib import Path
from visioncraft import Generator, ModelInfo, hookimpl
class Endless(Generator):
    name = "endless"
    def models(self):
        return [ModelInfo(id="endless", name="Endless", engine="endless")]
    def run(self, request, progress):
        Path("drawing").write_text("yes")
        with open("steps") as steps:
            for _ in steps:
                progress.step(1, 2)
@hookimpl
def visioncraft_generators():
    return [Endless()]
"""


class Server(NamedTuple):
    """A server that has said it is ready."""

    process: Process
    url: str
    greeting: str

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Its exit code and what else it said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.wait(), said


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the user's settings or data, and nothing loaded ahead."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VISIONCRAFT_")}
    own = {"PYTHONPATH": str(folder / "site"), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    quiet = {"VISIONCRAFT_WORKERS__WARM": "off", "VISIONCRAFT_SERVER__DIALECT_PORTS": "off"}
    return {**kept, **own, **quiet, **more}


def install(folder: Path, name: str, source: str) -> None:
    """A plugin as pip leaves it: a module and the metadata with its entry point."""
    metadata = folder / "site" / f"{name}-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(f"[visioncraft]\n{name} = vc_{name}\n")
    (folder / "site" / f"vc_{name}.py").write_text(source)


@contextmanager
def serving(folder: Path, *options: str, python: tuple[str, ...] = (), **more: str) -> Iterator[Server]:
    """A server on a free port, from the moment it greets."""
    command = [*python, str(COMMAND), "serve", "--port", "0", *options]
    with commands.start(command, environment(folder, **more), folder, stderr=PIPE) as process:
        assert process.stderr is not None
        try:
            said = ""
            for line in process.stderr:
                said += line
                if found := re.search(r"is ready at (http://\S+)", line):
                    yield Server(process, found.group(1), said)
                    break
            else:
                pytest.fail(f"the server did not get ready: {said}")
        finally:  # also where an assertion fails, which would wait for the server's end
            process.kill()


def refused(folder: Path, *options: str, **more: str) -> str:
    """The line a server that does not start ends with."""
    done = commands.run([COMMAND, "serve", *options], environment(folder, **more), folder, PATIENCE_S)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done
    return done.stderr.splitlines()[-1]


def take_steps(steps: IO[str]) -> None:
    """Let the generator take steps until it has ended."""
    with suppress(BrokenPipeError), steps:
        while True:
            steps.write("one\n")


def test_ending_interrupts_the_picture_and_its_client_hears_that_it_goes_on_later(tmp_path: Path) -> None:
    install(tmp_path, "endless", ENDLESS)
    os.mkfifo(tmp_path / "drawing")  # opening it waits for the generator
    os.mkfifo(tmp_path / "steps")
    with ThreadPoolExecutor(2) as threads, serving(tmp_path) as server:
        body = {"prompt": "a red apple", "model": "endless"}
        asked = threads.submit(httpx.post, f"{server.url}/generate", json=body, timeout=PATIENCE_S)
        with (tmp_path / "drawing").open() as drawing:
            assert drawing.read() == "yes"
        threads.submit(take_steps, (tmp_path / "steps").open("w"))
        code, said = server.end(signal.SIGTERM)
        answer = asked.result(60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert "goes on when it is back" in answer.json()["error"]["message"]
    assert code == 0 and "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_answers_where_it_says_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
        assert httpx.get(f"{server.url}/docs").status_code == 200 and f"docs at {server.url}/docs" in server.greeting
        code, said = server.end(number)
    assert code == 0 and "Traceback" not in said
    assert '"GET /docs" 200 in ' in said and "/health" not in said


def test_a_server_is_ready_without_torch_and_numpy(tmp_path: Path) -> None:
    with serving(tmp_path, python=(sys.executable, "-X", "importtime")) as server:
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in server.greeting.splitlines()}
        assert "uvicorn" in imported and not imported & {"torch", "diffusers", "transformers", "numpy", "PIL"}


def test_a_broken_plugin_is_named_and_the_rest_serves(tmp_path: Path) -> None:
    install(tmp_path, "broken", "import module_that_is_absent")
    with serving(tmp_path) as server:
        assert "in trouble: broken" in server.greeting and "module_that_is_absent" in server.greeting
        listed = {plugin["name"]: plugin["status"] for plugin in httpx.get(f"{server.url}/plugins").json()}
        assert listed["broken"] == "failed" and listed["memory"] == "active"


def test_an_address_others_can_reach_needs_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "example.org", ""):
        assert "set VISIONCRAFT_TOKEN" in refused(tmp_path, "--host", host, "--port", "0")
    with serving(tmp_path, "--host", "0.0.0.0", VISIONCRAFT_TOKEN="open sesame") as server:
        url = f"{server.url}/status"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer open sesame"}).status_code == 200
        assert "open sesame" not in server.greeting + server.end(signal.SIGTERM)[1]


def test_a_taken_port_is_named_with_the_next_step(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, "--port", str(port))
    assert said.startswith(f"Error: 127.0.0.1:{port} cannot be listened on") and "--port" in said


def test_a_selected_backend_that_is_absent_stops_the_start(tmp_path: Path) -> None:
    said = refused(tmp_path, "--port", "0", VISIONCRAFT_STORAGE__BACKEND="gallery_of_dreams")
    assert "storage.backend selects 'gallery_of_dreams'" in said and "pip install" in said

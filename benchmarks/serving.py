"""A real `visioncraft serve` on a free port, for benchmarks to talk to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

VISIONCRAFT = str(Path(sys.executable).with_name("visioncraft"))
START_LIMIT_S = 60.0


@contextmanager
def server(toml: str = "", environment: Mapping[str, str] = os.environ) -> Iterator[tuple[httpx.Client, int, float]]:
    """A client of a fresh server with an empty gallery, its process, and the seconds from start to first answer.

    Args:
        toml: Its settings; the defaults otherwise.
        environment: Its environment, less VisionCraft's own variables.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-server-") as folder:
        settings = Path(folder) / "settings.toml"
        settings.write_text(toml)
        port = _free_port()
        command = [VISIONCRAFT, "--settings", str(settings), "serve", "--port", str(port)]
        clean = {key: value for key, value in environment.items() if not key.startswith("VISIONCRAFT_")}
        clean["VISIONCRAFT_SERVER__DIALECT_PORTS"] = "off"  # they may be somebody's on this machine
        began = time.perf_counter()
        process = subprocess.Popen(command, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
                _until_healthy(client, process)
                yield client, process.pid, time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_healthy(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    limit = time.perf_counter() + START_LIMIT_S
    while time.perf_counter() < limit:
        if process.poll() is not None:
            raise RuntimeError(f"visioncraft serve ended with {process.returncode}; run it by hand to see why")
        with suppress(httpx.TransportError):
            client.get("/health").raise_for_status()
            return
        time.sleep(0.005)
    raise RuntimeError(f"visioncraft serve did not answer within {START_LIMIT_S:g} s")

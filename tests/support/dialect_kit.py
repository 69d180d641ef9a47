"""Servers with dialects for other people's clients: the fake engine draws, and a token is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from harness import FAKES, Server, fake_house, served
from PIL import Image

TOKEN = "the-token-of-these-tests"


@contextmanager
def serving(folder: Path, *dialects: str) -> Iterator[Server]:
    """A server that speaks these dialects, draws with the fake engine and has a token.

    Args:
        folder: Holds everything.
        dialects: The plugins' names.
    """
    house = fake_house(folder)
    house.tables["plugins"] = {"enabled": [*FAKES, *dialects], "trusted": ["fake_engine"]}
    house.tables["server"] = {"dialect_ports": "free"}
    house.env = {"VISIONCRAFT_TOKEN": TOKEN}
    with served(house) as server:
        yield server


@contextmanager
def full_queue(server: Server, gate: str) -> Iterator[None]:
    """While the block runs, one job stands at a gate and as many wait as the queue holds."""
    first = server.submit(f"gated {gate}", num_inference_steps=15)
    server.until(first, "running")
    jobs = [first, *(server.submit(f"gated {gate}") for _ in range(4))]
    try:
        yield
    finally:
        for job in jobs:
            server.delete(f"/jobs/{job}")
        server.permit(gate, 100)
        for job in jobs:
            server.ended(job)


def jobs_of(server: Server, prompt: str) -> list[str]:
    """The ids of all jobs with this prompt, the newest first."""
    listed = server.get("/jobs?limit=100").json()["jobs"]
    return [each["id"] for each in listed if each["parameters"]["prompt"] == prompt]


def png(colour: str = "red", width: int = 64, height: int = 64) -> bytes:
    """An image of one colour."""
    buffer = BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()

"""docs/benchmarks.md: a section for each suite, with the machine and the versions it was measured on."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from visioncraft import probe_device

REPORT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`. Every figure and its peer come from one run on one machine, which each section names.

Two peers are not installed with the rest, and their rows are there only where they were: Optimum's pipeline, which
`visioncraft models export visioncraft-mini --to onnx` brings, and diffusers' async server example:
`SERVER_ASYNC=/path/to/diffusers/examples/server-async make bench ARGS=batching`.
"""

Row = tuple[str, str, str]


def write(suite: str, rows: Sequence[Row], order: Sequence[str]) -> None:
    """Put a suite's section in place of the one that is there; the others stay.

    Args:
        order: Every suite there is. Sections of others are dropped.
    """
    sections = _sections(REPORT.read_text("utf-8")) if REPORT.exists() else {}
    sections[suite.capitalize()] = _section(rows)
    wanted = [name.capitalize() for name in order]
    parts = [f"## {name}\n\n{sections[name]}\n" for name in wanted if name in sections]
    REPORT.write_text("\n".join((HEAD, *parts)), "utf-8")


def _sections(text: str) -> dict[str, str]:
    _, *parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _section(rows: Sequence[Row]) -> str:
    table = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(
        [f"{_machine()}. {_versions()}.", "", "| what | VisionCraft Pro | against |", "| --- | --- | --- |", *table]
    )


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    device = probe_device()
    facts = f"{os.cpu_count()} cores, {memory:.0f} GiB, {device.device_name} ({device.device}), {platform.system()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {facts}"


def _versions() -> str:
    named = ("torch", "diffusers", "transformers", "onnxruntime", "fastapi", "uvicorn", "sqlalchemy", "pillow", "isal")
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in named)

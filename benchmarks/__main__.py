"""`make bench`: run everything, print a table, write docs/benchmarks.md with the machine it ran on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from visioncraft import probe_device

from benchmarks import batching, gallery, jobs, levers, server, startup

SUITES = {
    "startup": startup,
    "server": server,
    "jobs": jobs,
    "batching": batching,
    "levers": levers,
    "gallery": gallery,
}
REPORT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def main(
    only: Annotated[list[str] | None, typer.Argument(help=f"Suites to run: {', '.join(SUITES)}; all if none")] = None,
) -> None:
    """Run the benchmarks. The report is written only when all of them ran."""
    chosen = only or list(SUITES)
    console = Console()
    results = {name: SUITES[name].rows() for name in track(chosen, "Measuring", console=console)}
    for name, rows in results.items():
        console.print(_table(name, rows))
    if set(chosen) == set(SUITES):
        REPORT.write_text(_report(results))
        console.print(f"written to {REPORT}")


def _table(name: str, rows: list[tuple[str, str, str]]) -> Table:
    table = Table("what", "VisionCraft Pro", "against", title=name, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def _report(results: dict[str, list[tuple[str, str, str]]]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; every figure and its peer come from one run on one machine:",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, {_machine()}",
        f"- {_versions()}",
        "",
    ]
    for name, rows in results.items():
        lines += [f"## {name.capitalize()}", "", "| what | VisionCraft Pro | against |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    device = probe_device()
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {device.device_name} ({device.device}), {platform.system()}"


def _versions() -> str:
    named = ("torch", "diffusers", "transformers", "fastapi", "uvicorn", "sqlalchemy", "pillow", "isal")
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in named)


if __name__ == "__main__":
    typer.run(main)

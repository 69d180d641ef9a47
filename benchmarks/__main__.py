"""`make bench`: measure, print tables, write docs/benchmarks.md."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import (
    batching,
    busy,
    crowd,
    cuda,
    dialects,
    flood,
    gallery,
    jobs,
    levers,
    onnx,
    report,
    server,
    startup,
)

SUITES = {
    "startup": startup,
    "server": server,
    "busy": busy,
    "jobs": jobs,
    "dialects": dialects,
    "flood": flood,
    "batching": batching,
    "levers": levers,
    "crowd": crowd,
    "cuda": cuda,
    "onnx": onnx,
    "gallery": gallery,
}


def main(
    only: Annotated[list[str] | None, typer.Argument(help=f"Suites to run: {', '.join(SUITES)}; all if none")] = None,
) -> None:
    """Run the benchmarks; each puts its section of the report in place of the last one."""
    chosen = only or list(SUITES)
    console = Console()
    for name in track(chosen, "Measuring", console=console):
        rows = list(SUITES[name].rows())
        if rows:  # one that finds nothing to measure here leaves what was measured elsewhere
            console.print(_table(name, rows))
            report.write(name, rows, list(SUITES))
    console.print(f"written to {report.REPORT}")


def _table(name: str, rows: list[tuple[str, str, str]]) -> Table:
    table = Table("what", "VisionCraft Pro", "against", title=name, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    typer.run(main)

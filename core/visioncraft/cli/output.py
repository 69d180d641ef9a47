"""How commands speak: errors in one line, tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import typer

from visioncraft.errors import InsufficientVRAM, VisionCraftError
from visioncraft.printing import visible

_PIPE_WIDTH = 240  # into a pipe a table is as wide as it needs to be, so that nothing is cut


def describe(error: BaseException) -> str:
    """An error in one line: what is wrong, and the next step where it is known."""
    if not isinstance(error, VisionCraftError):
        said = visible(" ".join(str(error).split()))
        return f"unexpected {type(error).__name__}: {said}; `visioncraft -v ...` shows where, please report it"
    parts = [error.message, *_next_steps(error)]
    return visible("; ".join(" ".join(part.split()) for part in parts))


def _next_steps(error: VisionCraftError) -> list[str]:
    steps = [str(error.details[key]) for key in ("issue", "api_error") if error.details.get(key)]
    steps = [said for said in steps if said not in error.message]
    if error.details.get("suggestion"):
        steps.append(f"next: {error.details['suggestion']}")
    # An error that a server answered has them among its details.
    available = getattr(error, "available_models", error.details.get("available_models"))
    if isinstance(available, list):
        steps.append(f"available: {', '.join(available) or 'none, see `visioncraft models`'}")
    if isinstance(error, InsufficientVRAM):
        steps.append(f"{error.vram_available} GB free, about {error.vram_required} GB needed; try a smaller size")
    return steps


def say(line: str, err: bool = False) -> None:
    """Print one line with names that somebody else gave: nothing in it steers the terminal or ends the line."""
    typer.echo(visible(line), err=err)


def print_json(document: object) -> None:
    """Print a document for programs. Text stays text, but what would steer a terminal is escaped as JSON has it."""
    import json

    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"  # JSON can say any character in ASCII
    text = json.dumps(document, indent=2, ensure_ascii=plain, default=str)
    typer.echo("".join(each if each == visible(each, keep="\n") else json.dumps(each)[1:-1] for each in text))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people. Cells are plain text: nothing in them is markup or steers the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def print_warnings(told: Iterable[str]) -> None:
    """Say on stderr what of a request was not drawn, or not as asked."""
    for each in told:
        typer.echo(f"Warning: {visible(each)}", err=True)


def agree(question: str, yes: bool) -> None:
    """Ask before something is done, unless `yes` says so already; leaves the command where the answer is no."""
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(1)

"""The progress bar of every command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from visioncraft.runtime.one_shot import Show


def progress_bar(*columns: Any) -> Progress:
    """A progress bar on stderr that goes away when it is done.

    Args:
        columns: What stands behind the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    stage = TextColumn("{task.description}", markup=False)
    return Progress(SpinnerColumn(), stage, BarColumn(), *columns, console=Console(stderr=True), transient=True)


@contextmanager
def watched(model: str) -> Iterator[Show]:
    """A progress bar, and what moves it."""
    from rich.progress import MofNCompleteColumn, TimeElapsedColumn

    with progress_bar(MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=None)  # without a total the bar pulses: nobody knows how long a load is

        def show(stage: str, step: int, steps: int | None) -> None:
            bar.update(task, description=f"{model}: {stage}", completed=step, total=steps if step else None)

        yield show

"""The progress bar of every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar(*columns: Any) -> Progress:
    """A progress bar on stderr that goes away when it is done.

    Parameters
    ----------
    columns: What stands behind the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    stage = TextColumn("{task.description}", markup=False)
    return Progress(SpinnerColumn(), stage, BarColumn(), *columns, console=Console(stderr=True), transient=True)

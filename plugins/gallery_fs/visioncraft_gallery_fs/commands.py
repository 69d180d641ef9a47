"""`visioncraft gallery`: what the index knows, and filling it again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from visioncraft import ImageRecord

if TYPE_CHECKING:
    from visioncraft_gallery_fs.store import GalleryStore

LimitOption = Annotated[int, typer.Option(min=1, help="How many pictures to show.")]
ModelOption = Annotated[str | None, typer.Option(help="Only pictures that this model drew.")]


def gallery_group(gallery: Callable[[], GalleryStore]) -> Any:
    """The group, which the core runs through its `main`: typer's groups are not of the hook's own click.

    Parameters
    ----------
    gallery: Gives a store that is not started; called when a command runs.
    """
    app = typer.Typer(
        name="gallery", help="Pictures on disk.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
    )

    @app.command("list")
    def list_pictures(limit: LimitOption = 20, model: ModelOption = None) -> None:
        """List the newest pictures."""
        with _started(gallery) as store:
            page = store.list(limit, model=model)
            _print_table(page.items, page.total)

    @app.command()
    def reindex() -> None:
        """Rebuild the index from the files alone.

        The server may go on meanwhile, unless the index is damaged: then stop it first.
        """
        with _started(gallery, fill=False) as store:
            _reindex(store)

    @app.command()
    def path() -> None:
        """Print the gallery's folder."""
        typer.echo(gallery().root)

    return typer.main.get_command(app)


@contextmanager
def _started(gallery: Callable[[], GalleryStore], fill: bool = True) -> Iterator[GalleryStore]:
    store = gallery()
    try:
        if fill:
            store.start()
        else:
            store.prepare(thorough=True)
        yield store
    finally:
        store.close()


def _reindex(store: GalleryStore) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Reading pictures", total=None)
        outcome = store.reindex(lambda done, total: progress.update(task, completed=done, total=total))
    for sentence in outcome.skipped:
        typer.echo(f"Skipped {_printable(sentence)}", err=True)
    gone = f", {outcome.removed} rows without a file removed" if outcome.removed else ""
    typer.echo(f"{outcome.indexed} pictures indexed{gone}")


def _print_table(records: Sequence[ImageRecord], total: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(caption=f"{len(records)} of {total} pictures")
    for heading in ("Created (UTC)", "Id", "Model", "Size", "Seed"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Prompt", overflow="ellipsis", no_wrap=True)
    for record in records:
        table.add_row(*(Text(_printable(cell)) for cell in _cells(record)))
    # Into a pipe a table is as wide as it needs to be, so that no id is cut.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cells(record: ImageRecord) -> tuple[str, ...]:
    created = f"{record.created_at:%Y-%m-%d %H:%M:%S}"
    return created, record.id, record.model, f"{record.width}x{record.height}", str(record.seed), record.prompt


def _printable(text: str) -> str:
    """Prompts are strangers' text: nothing in them may steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)

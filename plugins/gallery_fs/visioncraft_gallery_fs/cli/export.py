"""`visioncraft gallery export`: a zip on this machine's disk, whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from visioncraft import GalleryQuery

from visioncraft_gallery_fs.cli.console import printable, progress_bar, started, stopped_in_order
from visioncraft_gallery_fs.cli.filters import filtered, query_of
from visioncraft_gallery_fs.files import durable

if TYPE_CHECKING:
    from visioncraft_gallery_fs.store import GalleryStore

ToOption = Annotated[Path, typer.Option(dir_okay=False, help="The zip to write; one of that name is replaced.")]


@filtered
def export(ctx: typer.Context, to: ToOption, **filters: Any) -> None:
    """Put pictures and their tags, stars, ratings and notes into a zip: all of them, or those that fit every filter.

    The zip appears when it is whole. The exit status is 1 where a picture could not be read and is left out.
    """
    with started(ctx) as store:
        _export(store, query_of(**filters), to)


def _export(store: GalleryStore, query: GalleryQuery, file: Path) -> None:
    from visioncraft import zip_stream

    expected = store.list(1, query=query)
    left_out: list[str] = []
    try:
        with progress_bar() as progress, stopped_in_order(), durable.whole_file(file) as stream:
            task = progress.add_task("Exporting pictures", total=expected.total if expected.exact else None)
            for done, piece in enumerate(zip_stream(store, query, left_out.append)):
                stream.write(piece)
                progress.update(task, completed=done)
    except KeyboardInterrupt:
        typer.echo("Stopped; nothing was written", err=True)
        raise typer.Exit(130) from None
    _tell(file, done - len(left_out), left_out)


def _tell(file: Path, exported: int, left_out: list[str]) -> None:
    for sentence in left_out:
        typer.echo(printable(sentence), err=True)
    typer.echo(f"{exported} pictures exported to {file}, {len(left_out)} left out")
    if left_out:
        raise typer.Exit(1)

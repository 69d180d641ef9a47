"""`visioncraft gallery export`: a zip on this machine's disk, whole or not there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from visioncraft import GalleryQuery, tag_key

from visioncraft_gallery_fs import files
from visioncraft_gallery_fs.console import printable, progress_bar, started, stopped_in_order

if TYPE_CHECKING:
    from visioncraft_gallery_fs.store import GalleryStore

_INT64 = 2**63


def _text(typed: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in typed):  # how Python shows bytes that are no UTF-8
        raise typer.BadParameter("it holds bytes that are no text")
    return typed


def _tag(typed: str) -> str:
    return tag_key(_text(typed))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time as 2026-11-23 or 2026-11-23T12:30:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


SearchOption = Annotated[
    str,
    typer.Option(
        "--search", "--q", "-q", parser=_text, metavar="WORDS", help="Only pictures with these in prompt or notes."
    ),
]
ModelOption = Annotated[
    str | None, typer.Option(parser=_text, metavar="ID", help="Only pictures that this model drew.")
]
TagOption = Annotated[
    list[str] | None, typer.Option(parser=_tag, metavar="TAG", help="Only pictures with this tag; may be repeated.")
]
ToOption = Annotated[Path, typer.Option(dir_okay=False, help="The zip to write; one of that name is replaced.")]
GeneratorOption = Annotated[
    str | None, typer.Option(parser=_text, metavar="NAME", help="Only pictures that this generator drew.")
]
SideOption = Annotated[int | None, typer.Option(min=1, max=_INT64 - 1, help="In pixels.")]
SeedOption = Annotated[int | None, typer.Option(min=-_INT64, max=_INT64 - 1, help="Only pictures of this seed.")]
SinceOption = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="TIME", help="Made at this time or later, in UTC.")
]
UntilOption = Annotated[datetime | None, typer.Option(parser=_moment, metavar="TIME", help="Made before this time.")]
FavouriteOption = Annotated[bool | None, typer.Option(help="Only pictures with a star, or without.")]
RatingOption = Annotated[int, typer.Option(min=0, max=5, help="Only pictures rated so or better.")]


def export(
    ctx: typer.Context,
    to: ToOption,
    search: SearchOption = "",
    model: ModelOption = None,
    generator: GeneratorOption = None,
    width: SideOption = None,
    height: SideOption = None,
    seed: SeedOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    tag: TagOption = None,
    favourite: FavouriteOption = None,
    min_rating: RatingOption = 0,
) -> None:
    """Put pictures and their tags, stars, ratings and notes into a zip: all of them, or those that fit every filter.

    The zip appears when it is whole. The exit status is 1 where a picture could not be read and is left out.
    """
    query = GalleryQuery(
        text=search,
        model=model,
        generator=generator,
        width=width,
        height=height,
        seed=seed,
        since=since,
        until=until,
        tags=tuple(tag or ()),
        favourite=favourite,
        min_rating=min_rating,
    )
    with started(ctx) as store:
        _export(store, query, to)


def _export(store: GalleryStore, query: GalleryQuery, file: Path) -> None:
    from visioncraft import zipped

    expected = store.list(1, query=query)
    left_out: list[str] = []
    try:
        with progress_bar() as progress, stopped_in_order(), files.whole_file(file) as stream:
            task = progress.add_task("Exporting pictures", total=expected.total if expected.exact else None)
            for done, piece in enumerate(zipped(store, query, left_out.append)):
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

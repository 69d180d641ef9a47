"""`visioncraft gallery`: what the index knows, filling it again, and what comes in from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from visioncraft import (
    FACT_ORIGINAL_SEED,
    ImageRecord,
    Page,
    Settings,
    StorageError,
    is_image_id,
    read_record,
    read_record_file,
)

from visioncraft_gallery_fs.cli.console import Given, printable, progress_bar, started, stopped_in_order
from visioncraft_gallery_fs.cli.export import export
from visioncraft_gallery_fs.cli.filters import filtered, query_of

if TYPE_CHECKING:
    from visioncraft_gallery_fs.store import GalleryStore
    from visioncraft_gallery_fs.transfer.import_ import Imported

LimitOption = Annotated[int, typer.Option(min=1, help="How many pictures to show.")]
FolderArgument = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="With all folders below it.")]
PictureArgument = Annotated[str, typer.Argument(help="A picture's id, or a PNG file with its record inside.")]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help="A file to write it to.")]
AcceptOption = Annotated[bool, typer.Option(help="Changed files that are whole are what they shall be from now on.")]

_app = typer.Typer(
    name="gallery", help="Pictures on disk.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)
_app.command("export")(export)


def gallery_group(gallery: Callable[[], GalleryStore], settings: Settings) -> Any:
    """The group, which the core runs through its `main`: typer's groups are not of the hook's own click.

    Args:
        gallery: Gives a store that is not started; called when a command runs.
        settings: For what is drawn again.
    """
    group = typer.main.get_command(_app)
    group.context_settings["obj"] = Given(gallery, settings)
    return group


@_app.command("list")
@filtered
def list_pictures(ctx: typer.Context, limit: LimitOption = 20, **filters: Any) -> None:
    """List the newest pictures: of all, or of those that fit every filter."""
    with started(ctx) as store:
        page = store.list(limit, query=query_of(**filters))
        _print_table(page)


@_app.command("import")
def import_folder(ctx: typer.Context, folder: FolderArgument) -> None:
    """Take in pictures of AUTOMATIC1111, ComfyUI, InvokeAI or VisionCraft, with their parameters.

    The folder stays as it is. Started again, it goes on where it was cut off.
    """
    with started(ctx) as store:
        _import(store, folder)


@_app.command()
def replay(ctx: typer.Context, picture: PictureArgument, output: OutputOption = None) -> None:
    """Draw a picture again from what stands inside its file: same model and version, same picture."""
    if output is not None:
        _try_to_write(output)
    _replay(ctx.obj.settings, _record_of(ctx, picture), output)


@_app.command()
def check(ctx: typer.Context, accept: AcceptOption = False) -> None:
    """Verify every file's hash, and that files and index agree. The exit status is 1 where they do not."""
    with started(ctx) as store:
        _check(store, accept)


@_app.command()
def reindex(ctx: typer.Context) -> None:
    """Rebuild the index from the files alone.

    The server may go on meanwhile, unless the index is damaged: then stop it first.
    """
    with started(ctx, fill=False) as store:
        _reindex(store)


@_app.command()
def path(ctx: typer.Context) -> None:
    """Print the gallery's folder."""
    typer.echo(ctx.obj.gallery().root)


def _reindex(store: GalleryStore) -> None:
    with progress_bar() as progress:
        task = progress.add_task("Reading pictures", total=None)
        outcome = store.reindex(lambda done, total: progress.update(task, completed=done, total=total))
    _print_skipped(outcome.skipped)
    gone = f", {outcome.removed} rows without a file removed" if outcome.removed else ""
    typer.echo(f"{outcome.indexed} pictures indexed{gone}")


def _check(store: GalleryStore, accept: bool) -> None:
    with progress_bar() as progress:
        task = progress.add_task("Checking pictures", total=None)
        findings = store.check(lambda done, total: progress.update(task, completed=done, total=total), accept)
    for sentence in findings.problems:
        typer.echo(printable(sentence), err=True)
    noted = f", {findings.noted} of them noted now" if findings.noted else ""
    typer.echo(f"{findings.whole} pictures are whole{noted}; {len(findings.problems)} problems")
    if findings.problems:
        raise typer.Exit(1)


def _import(store: GalleryStore, folder: Path) -> None:
    from visioncraft_gallery_fs.transfer.import_ import Imported, import_files, picture_files

    tally = Imported()
    ended: KeyboardInterrupt | StorageError | None = None
    with progress_bar() as progress, stopped_in_order():
        files = picture_files(folder, tally)
        try:
            for _ in progress.track(import_files(store, files, tally), len(files), description="Importing pictures"):
                store.check_room()
        except (KeyboardInterrupt, StorageError) as error:
            ended = error
    _print_skipped(tally.skipped)
    typer.echo(_summary(tally))
    if tally.unseeded:
        typer.echo(
            f"{tally.unseeded} with a seed past 2**63 - 1 have it among their facts, as {FACT_ORIGINAL_SEED}", err=True
        )
    if ended is not None:
        typer.echo("Cut off; the same command goes on from here", err=True)
        raise typer.Exit(130) if isinstance(ended, KeyboardInterrupt) else ended


def _summary(tally: Imported) -> str:
    programs = ", ".join(f"{count} of {program}" for program, count in sorted(tally.added.items()))
    added = f"{tally.added.total()} pictures imported" + (f" ({programs})" if programs else "")
    return f"{added}, {tally.known} were here already, {len(tally.skipped)} skipped"


def _record_of(ctx: typer.Context, picture: str) -> ImageRecord:
    if is_image_id(picture):
        with started(ctx) as store:
            return read_record(store.open(picture)) or store.get(picture)
    record = read_record_file(Path(picture))
    if record is None:
        raise StorageError(f"{picture}: no VisionCraft record inside; 'visioncraft gallery import' takes in others")
    return record


def _try_to_write(output: Path) -> None:
    """Before anything is drawn, which may take minutes."""
    if output.suffix.lower() not in ("", ".png"):
        raise StorageError(f"{output} would hold a PNG: end its name with .png, or leave out -o")
    existed = output.exists()
    try:
        output.open("ab").close()
    except OSError as error:
        raise StorageError(f"{output} cannot be written: {error.strerror}; choose another file with -o") from error
    if not existed:
        output.unlink()


def _replay(settings: Settings, record: ImageRecord, output: Path | None) -> None:
    from visioncraft import replay as draw_again  # jobs and their ledger, which no other command needs

    for sentence in record.left_out:
        typer.echo(f"Warning: {printable(sentence)}", err=True)
    drawn, png = draw_again(settings, record, bar=True)
    if output is not None:
        try:
            output.write_bytes(png)
        except OSError as error:
            raise StorageError(
                f"{output} cannot be written: {error.strerror}, but the gallery has {drawn.id}"
            ) from error
    typer.echo(f"{drawn.id}: drawn by {drawn.model}, {drawn.width}x{drawn.height}, seed {drawn.seed}")
    for told in drawn.warnings:
        typer.echo(f"Warning: {printable(told)}", err=True)


def _print_skipped(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        typer.echo(f"Skipped {printable(sentence)}", err=True)


def _print_table(page: Page) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    total = f"{page.total}" if page.exact else f"{page.total} or more"
    table = Table(caption=f"{len(page.items)} of {total} pictures")
    for heading in ("Created (UTC)", "Id", "Model", "Size", "Seed"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Prompt", overflow="ellipsis", no_wrap=True)
    for record in page.items:
        table.add_row(*(Text(printable(cell)) for cell in _cells(record)))
    # Into a pipe a table is as wide as it needs to be, so that no id is cut.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cells(record: ImageRecord) -> tuple[str, ...]:
    created = f"{record.created_at:%Y-%m-%d %H:%M:%S}"
    return created, record.id, record.model, f"{record.width}x{record.height}", str(record.seed), record.prompt

"""What the commands share: the gallery they work on, a progress bar, and text that cannot steer a terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from visioncraft import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from visioncraft_gallery_fs.store import GalleryStore


@dataclass(frozen=True, slots=True)
class Given:
    """What every command is handed.

    Args:
        gallery: Gives a store that is not started.
        settings: For what is drawn again.
    """

    gallery: Callable[[], GalleryStore]
    settings: Settings


@contextmanager
def started(ctx: typer.Context, fill: bool = True) -> Iterator[GalleryStore]:
    """The gallery, started until the block ends.

    Args:
        fill: Fill an incomplete index from the files; otherwise leave it so, and look for damage in every part of it.
    """
    store: GalleryStore = ctx.obj.gallery()
    try:
        if fill:
            store.look()
        else:
            store.prepare(thorough=True)
        yield store
    finally:
        store.close()


def progress_bar() -> Progress:
    """A bar on stderr that counts pictures and says how long it will take."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True))


def printable(text: str) -> str:
    """Prompts are strangers' text: nothing in them may steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


@contextmanager
def stopped_in_order() -> Iterator[None]:
    """Whoever ends the command ends it as Ctrl-C does, so that what is half written goes."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

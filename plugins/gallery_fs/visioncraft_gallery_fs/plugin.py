"""The hooks. SQLAlchemy waits until the store starts, rich until a command prints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from visioncraft import Decoders, ImageStore, Settings, hookimpl

from visioncraft_gallery_fs.settings import GallerySettings, gallery_root
from visioncraft_gallery_fs.store import GalleryStore

if TYPE_CHECKING:
    import click

NAME = "gallery_fs"


def gallery(settings: Settings, read_ahead: bool = False) -> GalleryStore:
    """The store these settings describe, not started. Raises `ConfigurationError` for a wrong table."""
    table = settings.plugin(NAME, GallerySettings)
    return GalleryStore(gallery_root(settings, table), table, read_ahead, partial(Decoders, settings.pictures))


@hookimpl
def visioncraft_stores(settings: Settings) -> Sequence[ImageStore]:
    """The gallery on disk."""
    return [gallery(settings, read_ahead=True)]


@hookimpl
def visioncraft_commands(settings: Settings) -> Sequence[click.Command]:
    """`visioncraft gallery`."""
    from visioncraft_gallery_fs.cli.commands import gallery_group

    return [gallery_group(lambda: gallery(settings), settings)]

"""`[plugins.config.gallery_fs]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from visioncraft import PluginSettings, Settings


class GallerySettings(PluginSettings):
    """Where the pictures go.

    Parameters
    ----------
    root: The gallery's folder. `auto` is `gallery` in the data folder; a relative path counts from the settings file.
    thumbnail_side: Longest side of a thumbnail, in pixels.
    """

    root: Path = Path("auto")
    thumbnail_side: int = Field(256, ge=16, le=1024)


def gallery_root(settings: Settings, table: GallerySettings) -> Path:
    """The gallery's folder as an absolute path."""
    if str(table.root) == "auto":
        return settings.data_path.resolve() / "gallery"
    base = settings.file.parent if settings.file else Path.cwd()
    return (base / table.root.expanduser()).resolve()

"""`[plugins.config.gallery_fs]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from visioncraft import PluginSettings, Settings


class GallerySettings(PluginSettings):
    """Where the pictures go.

    Args:
        root: The gallery's folder. `auto` is `gallery` in the data folder; a relative path counts from the settings
            file.
        thumbnail_side: Longest side of a thumbnail, in pixels.
        min_free_mb: With less room than this, in units of 2**20 bytes, nothing new is drawn.
        keep_days, keep_pictures, keep_gb: Bounds of the gallery, 0 for none; see `Retention`.
    """

    root: Path = Path("auto")
    thumbnail_side: int = Field(256, ge=16, le=1024)
    min_free_mb: int = Field(64, ge=0)
    keep_days: float = Field(0.0, ge=0, allow_inf_nan=False)
    keep_pictures: int = Field(0, ge=0)
    keep_gb: float = Field(0.0, ge=0, allow_inf_nan=False)


def gallery_root(settings: Settings, table: GallerySettings) -> Path:
    """The gallery's folder as an absolute path."""
    if str(table.root) == "auto":
        return settings.data_path.resolve() / "gallery"
    base = settings.file.parent if settings.file else Path.cwd()
    return (base / table.root.expanduser()).resolve()

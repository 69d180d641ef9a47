"""Small copies of pictures, made on first ask and kept. They may be thrown away at any time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visioncraft import StorageError, webp_thumbnail

log = logging.getLogger("visioncraft.gallery_fs")


class Thumbnails:
    """The folder of thumbnails below a gallery's.

    Parameters
    ----------
    root: The gallery's folder.
    side: Longest side, in pixels.
    write: Writes a file durably; raises `StorageError`.
    """

    def __init__(self, root: Path, side: int, write: Callable[[Path, bytes], None]) -> None:
        self._root = root
        self._side = side
        self._write = write

    def get(self, picture: Path, read: Callable[[], bytes]) -> bytes:
        """The WebP of a picture, which `read` gives where there is none yet.

        Raises what `read` raises, and `StorageError` for what is no whole picture.
        """
        cached = self._path(picture, str(self._side))
        with suppress(OSError):
            return cached.read_bytes()
        png = read()
        try:
            webp = webp_thumbnail(png, self._side)
        except StorageError as error:
            raise StorageError(f"{picture}: {error.message}; restore it from a copy") from error
        try:
            self._write(cached, webp)
        except StorageError as error:
            # Somebody else was faster, or the disk is full; the thumbnail is in hand all the same.
            log.debug("Thumbnail not kept: %s", error)
        return webp

    def drop(self, picture: Path) -> None:
        """Remove a picture's thumbnails of every size."""
        for folder in (self._root / ".thumbnails").glob("*"):
            with suppress(OSError):
                self._path(picture, folder.name).unlink(missing_ok=True)

    def _path(self, picture: Path, side: str) -> Path:
        return (self._root / ".thumbnails" / side / picture.relative_to(self._root)).with_suffix(".webp")

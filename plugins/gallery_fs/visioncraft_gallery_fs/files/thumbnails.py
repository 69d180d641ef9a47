"""Small copies of pictures, made on first ask and kept. They may be thrown away at any time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visioncraft import Decoders, StorageError

log = logging.getLogger("visioncraft.gallery_fs")


class Thumbnails:
    """The folder of thumbnails below a gallery's.

    Args:
        root: The gallery's folder.
        side: Longest side, in pixels.
        write: Writes a file durably; raises `StorageError`.
        decoders: Make them.
    """

    def __init__(
        self,
        root: Path,
        side: int,
        write: Callable[[Path, bytes], None],
        decoders: Callable[[], Decoders],
    ) -> None:
        self._root = root
        self._side = side
        self._write = write
        self._decoders = decoders

    def get(self, picture: Path, read: Callable[[], bytes]) -> bytes:
        """The WebP of a picture, which `read` gives where there is none yet.

        Raises what `read` raises, and `StorageError` for what is no whole picture, or too large a one.
        """
        cached = self._path(picture, str(self._side))
        with suppress(OSError):
            return cached.read_bytes()
        png = read()
        try:
            webp = self._decoders().thumbnail(png, self._side)
        except StorageError as error:
            raise StorageError(f"{picture.name}: {error.message}; restore it from a copy") from error
        if webp is None:
            raise StorageError(f"{picture.name} is too large for a thumbnail; open the picture itself")
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

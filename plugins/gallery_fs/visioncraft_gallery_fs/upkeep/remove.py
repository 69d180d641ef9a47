"""Removing pictures for good."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from visioncraft import ImageRecord, StorageError

from visioncraft_gallery_fs.files import durable
from visioncraft_gallery_fs.files.sidecars import drop_marks
from visioncraft_gallery_fs.files.thumbnails import Thumbnails
from visioncraft_gallery_fs.index.index import IndexFull
from visioncraft_gallery_fs.index.live import LiveIndex
from visioncraft_gallery_fs.index.rows import to_row

Pictures = Sequence[tuple[ImageRecord, Path]]


@dataclass(frozen=True, slots=True)
class Removal:
    """Takes pictures away with all that belongs to them.

    Args:
        root: The gallery's folder.
        standing: Its index.
        thumbnails: Its thumbnails.
    """

    root: Path
    standing: LiveIndex
    thumbnails: Thumbnails

    def remove(self, ids: Sequence[str]) -> list[str]:
        """Remove pictures; answers the ids of those there were. Raises `StorageError` when the disk refuses.

        The rows go first: a crash then leaves files without rows, never a row without a file. Where a file cannot be
        removed its row comes back. Only on a full disk the files make room for the rows' change first.
        """
        index = self.standing.reading()
        known = [
            (record, durable.inside(self.root, path))
            for record, path in filter(None, (index.find(each) for each in ids))
        ]
        there = [record.id for record, _ in known]
        try:
            removed = set(self._remove_rows(there))
        except IndexFull:
            self._remove_files(known)
            return self._remove_rows(there)
        gone = [(record, path) for record, path in known if record.id in removed]
        self._remove_files(gone)
        return [record.id for record, _ in gone]

    def forget(self, image_id: str, path: Path) -> None:
        """Take away what is left of an image whose file somebody removed by hand."""
        if self.standing.file.exists():
            with suppress(StorageError):  # that it is gone is true whether the row can be dropped now or later
                self.standing.writing().remove([image_id])
            drop_marks(path)
            self.thumbnails.drop(path)

    def _remove_rows(self, ids: Sequence[str]) -> list[str]:
        return self.standing.change(lambda index: index.remove(ids))

    def _remove_files(self, pictures: Pictures) -> None:
        for number, (_, path) in enumerate(pictures):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._put_back(pictures[number:])
                raise StorageError(f"{path}: cannot be deleted: {durable.reason(error)}") from error
            drop_marks(path)
            self.thumbnails.drop(path)
        for folder in {path.parent for _, path in pictures}:
            with suppress(OSError):  # the names are gone; a power cut may bring files back, which no row names
                durable.sync_folder(folder)

    def _put_back(self, pictures: Pictures) -> None:
        kept = ((record, path) for record, path in pictures if path.is_file())
        rows = [to_row(record, durable.relative(self.root, path), path.stat().st_size) for record, path in kept]
        self.standing.change(lambda index: index.put(rows))

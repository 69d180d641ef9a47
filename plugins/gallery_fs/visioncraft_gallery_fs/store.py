"""The gallery on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from visioncraft import (
    ConfigurationError,
    ImageRecord,
    ImageStore,
    NotFound,
    Page,
    StorageError,
    image_filename,
    is_image_id,
    webp_thumbnail,
)

from visioncraft_gallery_fs import files

if TYPE_CHECKING:
    from visioncraft_gallery_fs.index import PictureIndex
    from visioncraft_gallery_fs.reindex import Outcome

log = logging.getLogger("visioncraft.gallery_fs")


class GalleryStore(ImageStore):
    """Pictures as PNG files in dated folders, found through an index in SQLite.

    A picture counts as saved when its file, the folder naming it and its row are on disk, in this order; so a crash
    leaves at worst a file that no row names, which a reindex picks up, and never a row without a file.

    Parameters
    ----------
    root: The gallery's folder, absolute.
    thumbnail_side: Longest side of a thumbnail, in pixels.
    """

    name: ClassVar[str] = "gallery_fs"

    def __init__(self, root: Path, thumbnail_side: int = 256) -> None:
        self.root = root
        self._side = thumbnail_side
        self._folders = files.Folders(root)
        self._opened: PictureIndex | None = None

    def start(self) -> None:
        """Prove that the folder can be written, open the index, and fill it from the files where it is incomplete.

        Raises `ConfigurationError` that names the folder and the next step.
        """
        self.prepare()
        try:
            if not self._index.complete:
                self._log_rebuilt(self.reindex())
        except StorageError as error:
            raise ConfigurationError(error.message) from error

    def prepare(self, thorough: bool = False) -> None:
        """As `start`, but leave an incomplete index incomplete; `thorough` looks for damage in every part of it."""
        from visioncraft_gallery_fs.index import PictureIndex

        if self._opened is not None:
            return
        files.prove_writable(self.root)
        try:
            swept = files.sweep(self.root)
            self._opened = PictureIndex.open(self.root / "index.sqlite3", thorough)
            files.sync_folder(self.root)
        except StorageError as error:
            raise ConfigurationError(error.message) from error
        except OSError as error:
            raise ConfigurationError(f"{error.filename or self.root}: {files.reason(error)}") from error
        if swept:
            log.info("%s: removed %s temporary files that a crash had left", self.root, swept)

    def close(self) -> None:
        """Close the index. A closed store can be started again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def reindex(self, report: Callable[[int, int], None] | None = None) -> Outcome:
        """Rebuild the index from the files alone; `report(done, total)` counts files. Raises `StorageError`."""
        from visioncraft_gallery_fs.reindex import rebuild

        try:
            return rebuild(self.root, self._index, report)
        except OSError as error:
            raise StorageError(f"{error.filename or self.root}: {files.reason(error)}") from error

    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        """Keep a picture, byte for byte. When this returns, file and row survive a power cut.

        A `filename` that is not of the shape `image_filename` gives is replaced by one that is. On failure nothing
        stays behind. Raises `StorageError` that names the path and the next step.
        """
        from visioncraft_gallery_fs.index import to_row

        kept, path = self._place(record)
        row = to_row(kept, path)
        target = self.root / path
        self._write(target, png)
        try:
            self._index.put([row])
        except BaseException:
            # A commit whose fsync failed may have reached the disk or not: take the row back before the file goes.
            with suppress(StorageError):
                self._index.remove([kept.id])
            files.remove_quietly(target)
            raise
        return kept

    def get(self, image_id: str) -> ImageRecord:
        """One record. Raises `NotFound`, also when somebody removed the file by hand."""
        record, path = self._find(image_id)
        self._check_there(image_id, path)
        return record

    def open(self, image_id: str) -> bytes:
        """The PNG's bytes, as they were saved. Raises `NotFound`, or `StorageError` for a file that cannot be read."""
        _, path = self._find(image_id)
        try:
            return path.read_bytes()
        except OSError as error:
            raise self._unreadable(image_id, path, error) from error

    def list(self, limit: int, offset: int = 0, model: str | None = None) -> Page:
        """A page, newest first, from the index alone. The cursor is the next offset, as text."""
        records, total = self._index.page(limit, offset, model)
        end = max(offset, 0) + len(records)
        return Page(records, total, str(end) if records and end < total else None)

    def delete(self, image_id: str) -> None:
        """Remove row, file and thumbnails. Raises `NotFound`, or `StorageError` when the disk refuses.

        The row goes first: a crash then leaves a file without a row, never a row without a file. Where the file cannot
        be removed the row comes back. Only on a full disk the file makes room for the row's change first.
        """
        from visioncraft_gallery_fs.index import IndexFull

        record, path = self._find(image_id)
        try:
            known = self._index.remove([image_id])
        except IndexFull:
            self._remove_file(record, path)
            known = self._index.remove([image_id])
        if not known:
            raise _not_found(image_id)
        self._remove_file(record, path)

    def count(self) -> int:
        """How many pictures there are."""
        return self._index.count()

    def thumbnail(self, image_id: str) -> bytes:
        """A WebP of the picture, made on first ask and kept. Raises `NotFound` or `StorageError`."""
        _, path = self._find(image_id)
        cached = self._thumbnails(path, str(self._side))
        self._check_there(image_id, path)
        with suppress(OSError):
            return cached.read_bytes()
        webp = webp_thumbnail(self.open(image_id), self._side)
        try:
            self._write(cached, webp)
        except StorageError as error:
            # Somebody else was faster, or the disk is full; the thumbnail is in hand all the same.
            log.debug("Thumbnail not kept: %s", error)
        if self._index.find(image_id) is None:
            self._drop_thumbnails(path)
            raise _not_found(image_id)
        return webp

    @property
    def _index(self) -> PictureIndex:
        if self._opened is None:
            raise StorageError(f"{self.root}: the gallery is not started; call start() first")
        return self._opened

    def _log_rebuilt(self, outcome: Outcome) -> None:
        if outcome.indexed or outcome.skipped:
            told = f"{outcome.indexed} pictures, {len(outcome.skipped)} files skipped"
            log.warning("%s: the index was missing or damaged and was rebuilt: %s", self.root, told)
        for sentence in outcome.skipped:
            log.warning("Not indexed: %s", sentence)

    def _place(self, record: ImageRecord) -> tuple[ImageRecord, str]:
        """The record under the name it will have, and its path below the root."""
        if not is_image_id(record.id):
            raise StorageError(f"Picture id {record.id!r} is none of ours; take one from new_image_id()")
        if self._index.find(record.id) is not None:
            raise StorageError(f"Picture {record.id} is already stored; a new picture needs a new id")
        path = _dated(record.filename)
        if not files.PICTURE_PATH.fullmatch(path):
            record = replace(record, filename=image_filename(record.id, record.created_at))
            path = _dated(record.filename)
        return record, path

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self._folders.make(path.parent)
            if not path.parent.resolve().is_relative_to(self.root.resolve()):
                raise StorageError(f"{path.parent}: a symbolic link leads outside the gallery; remove it")
            files.write_durably(path, data)
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {files.reason(error)}") from error

    def _find(self, image_id: str) -> tuple[ImageRecord, Path]:
        found = self._index.find(image_id) if is_image_id(image_id) else None
        if found is None:
            raise _not_found(image_id)
        record, path = found
        return record, files.inside(self.root, path)

    def _check_there(self, image_id: str, path: Path) -> None:
        try:
            path.stat()
        except OSError as error:
            raise self._unreadable(image_id, path, error) from error

    def _unreadable(self, image_id: str, path: Path, error: OSError) -> NotFound | StorageError:
        """What to raise. The row of a file removed by hand goes, unless the whole gallery is away, as a lost mount."""
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return StorageError(f"{path}: cannot be read: {files.reason(error)}")
        if self._index.file.exists():
            with suppress(StorageError):  # "not found" is true whether the row can be dropped now or later
                self._index.remove([image_id])
            self._drop_thumbnails(path)
        return _not_found(image_id)

    def _remove_file(self, record: ImageRecord, path: Path) -> None:
        from visioncraft_gallery_fs.index import to_row

        try:
            path.unlink(missing_ok=True)
            if path.parent.is_dir():  # the whole folder may have been removed by hand
                files.sync_folder(path.parent)
        except OSError as error:
            if path.is_file():
                self._index.put([to_row(record, files.relative(self.root, path))])
            raise StorageError(f"{path}: cannot be deleted: {files.reason(error)}") from error
        self._drop_thumbnails(path)

    def _thumbnails(self, picture: Path, side: str) -> Path:
        return (self.root / ".thumbnails" / side / picture.relative_to(self.root)).with_suffix(".webp")

    def _drop_thumbnails(self, picture: Path) -> None:
        for folder in (self.root / ".thumbnails").glob("*"):
            with suppress(OSError):
                self._thumbnails(picture, folder.name).unlink(missing_ok=True)


def _dated(filename: str) -> str:
    """Where a picture of this name goes: `2026/11/23/generated_image_20261123_….png`."""
    day = filename.removeprefix("generated_image_")
    return f"{day[:4]}/{day[4:6]}/{day[6:8]}/{filename}"


def _not_found(image_id: str) -> NotFound:
    return NotFound(f"No picture {image_id[:64]!r}; GET /gallery lists those there are")

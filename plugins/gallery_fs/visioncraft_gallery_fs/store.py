"""The gallery on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, ClassVar, TypeVar

from visioncraft import (
    ALL_IMAGES,
    Decoders,
    GalleryQuery,
    ImageRecord,
    ImageStore,
    Marks,
    NotFound,
    Page,
    StorageError,
    is_image_id,
)

from visioncraft_gallery_fs.files import disk, durable
from visioncraft_gallery_fs.files.paths import path_for
from visioncraft_gallery_fs.files.sidecars import drop_marks, write_marks
from visioncraft_gallery_fs.files.thumbnails import Thumbnails
from visioncraft_gallery_fs.settings import GallerySettings

if TYPE_CHECKING:
    from visioncraft_gallery_fs.index.index import PictureIndex
    from visioncraft_gallery_fs.index.live import LiveIndex
    from visioncraft_gallery_fs.index.rebuild import Outcome
    from visioncraft_gallery_fs.upkeep.check import Findings, Hashes
    from visioncraft_gallery_fs.upkeep.remove import Removal

T = TypeVar("T")


class GalleryStore(ImageStore):
    """Images as PNG files in dated folders, found through an index in SQLite.

    One counts as saved when its file, the folder naming it and its row are on disk, in this order; so a crash leaves at
    worst a file that no row names, which a reindex picks up.

    Args:
        root: The gallery's folder, absolute.
        settings: Its bounds and the size of thumbnails; `settings.root` does not count.
        read_ahead: Have a start bring the index into memory, which pays for who stays.
        decoders: Makes what decodes pictures in processes of their own; used from the first thumbnail or import on.
    """

    name: ClassVar[str] = "gallery_fs"
    preferred: ClassVar[int] = 10

    def __init__(
        self,
        root: Path,
        settings: GallerySettings | None = None,
        read_ahead: bool = False,
        decoders: Callable[[], Decoders] = Decoders,
    ) -> None:
        self.root, self._read_ahead = root, read_ahead
        self._settings = settings or GallerySettings()
        self._folders = durable.Folders(root)
        self._new_decoders, self.decoders = decoders, decoders()
        self._thumbnails = Thumbnails(root, self._settings.thumbnail_side, self._write, lambda: self.decoders)
        self._marking = Lock()
        self._opened: LiveIndex | None = None

    def start(self) -> None:
        """Open the index, filled from the files where it is incomplete, and remove what is surplus.

        A full disk, and one that cannot be written, is told in the log: its pictures are shown, new ones refused.
        Raises `ConfigurationError` that names the folder and the next step.
        """
        self.look()
        self._retain()
        if self._read_ahead:
            self._index.read_ahead()

    def look(self) -> None:
        """As `start`, for who only looks: no picture is removed."""
        self._open(lambda standing: standing.open_or_borrow())

    def prepare(self, thorough: bool = False) -> None:
        """As `look`, but leave an incomplete index incomplete, and refuse one that cannot be written.

        Args:
            thorough: Look for damage in every part of the index.
        """
        self._open(lambda standing: standing.open(thorough), strict=True)

    def close(self) -> None:
        """Close the index and end what decodes. A closed store can be started again."""
        self.decoders.close()
        self.decoders = self._new_decoders()
        standing, self._opened = self._opened, None
        if standing is not None:
            standing.close()

    def reindex(self, report: Callable[[int, int], None] | None = None) -> Outcome:
        """Rebuild the index from the files alone; `report(done, total)` counts files. Raises `StorageError`."""
        from visioncraft_gallery_fs.index.rebuild import rebuild

        durable.sweep(self.root, newest_days=None)
        try:
            return self._standing.change(lambda index: rebuild(self.root, index, report))
        except OSError as error:
            raise StorageError(f"{error.filename or self.root}: {durable.reason(error)}") from error

    def check(self, report: Callable[[int, int], None] | None = None, accept: bool = False) -> Findings:
        """Compare files and index.

        Args:
            report: Is told how many images are done, and of how many.
            accept: Take whole files that somebody changed for what they shall be.

        Raises:
            StorageError: The files or the index cannot be read.
        """
        from visioncraft_gallery_fs.upkeep.check import check

        def note(hashes: Hashes) -> None:
            self._standing.change(lambda index: index.note_hashes(hashes))
            if accept:  # thumbnails may show what was there before
                for _, path in filter(None, map(self._index.find, hashes)):
                    self._thumbnails.drop(self.root / path)

        return check(self.root, self._index, note, report, accept)

    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        """Keep a picture, byte for byte. When this returns, file and row survive a power cut.

        What a crash left of an earlier try under the same id is replaced, and so is a `filename` that is not of the
        shape `image_filename` gives. On failure nothing stays. Raises `StorageError` with path and next step.
        """
        from visioncraft_gallery_fs.index.rows import to_row

        kept, path = path_for(record)
        if self._standing.writing().find(record.id) is not None:
            raise StorageError(f"Picture {record.id} is already stored; a new picture needs a new id")
        row = to_row(kept, path, len(png))
        target = self.root / path
        with ThreadPoolExecutor(1) as hashing:  # while the disk works
            digest = hashing.submit(hashlib.sha256, png)
            self._write(target, png, replace=durable.is_unfinished(target, record.id))
        try:
            row["sha256"] = digest.result().hexdigest()
            self._standing.change(lambda index: index.put([row]))
        except BaseException:
            with suppress(StorageError):  # a commit whose fsync failed may have reached the disk or not
                self._standing.writing().remove([kept.id])
            durable.remove_quietly(target)
            raise
        self._retain()
        return kept

    def get(self, image_id: str) -> ImageRecord:
        """One record. Raises `NotFound`, also when somebody removed the file by hand."""
        return self._find_file(image_id)[0]

    def open(self, image_id: str) -> bytes:
        """The PNG's bytes, as they were saved. Raises `NotFound`, or `StorageError` for a file that cannot be read."""
        return self._at(image_id, self._find(image_id)[1], Path.read_bytes)

    def reader(self, image_id: str) -> BinaryIO:
        """The file itself, which stays whole for its reader when it is deleted meanwhile. Raises as `open` does."""
        return self._at(image_id, self._find(image_id)[1], lambda path: path.open("rb"))

    def list(self, limit: int, offset: int = 0, query: GalleryQuery = ALL_IMAGES, cursor: str | None = None) -> Page:
        """A page from the index alone. Raises `InvalidRequest` for a cursor that is none of this query's."""
        return self._index.page(query, limit, offset, cursor)

    def delete(self, image_id: str) -> None:
        """Remove row, file, marks and thumbnails. Raises `NotFound`, or `StorageError` when the disk refuses."""
        if not self.delete_many([image_id]):
            raise _not_found(image_id)

    def delete_many(self, image_ids: Sequence[str]) -> Sequence[str]:
        """Remove pictures; answers the ids of those there were. Raises `StorageError` when the disk refuses."""
        ids = [image_id for image_id in dict.fromkeys(image_ids) if is_image_id(image_id)]
        return self._removal.remove(ids) if ids else []

    def mark(self, image_id: str, marks: Marks) -> ImageRecord:
        """Keep what people say of a picture, beside it and in the index. Raises `NotFound` or `StorageError`."""
        record, path = self._find_file(image_id)
        with self._marking:
            try:
                write_marks(path, marks)
            except OSError as error:
                raise StorageError(f"{path}: its marks cannot be written: {durable.reason(error)}") from error
            if not self._standing.change(lambda index: index.mark(image_id, marks)):
                drop_marks(path)
                raise _not_found(image_id)
        return replace(record, marks=marks)

    def check_room(self) -> None:
        """Raise `StorageError` where the disk is so full that a picture drawn now might not be kept."""
        disk.check_writable(self.root)
        disk.check_room(self.root, self._settings.min_free_mb)
        self._standing.writing()

    def version(self, image_id: str) -> str:
        """Another one after somebody has edited the file. Raises `NotFound`, or `StorageError`."""
        return f"-{self._at(image_id, self._find(image_id)[1], Path.stat).st_mtime_ns:x}"

    def has_import(self, sha256: str) -> bool:
        """Whether a picture was imported from a file with this SHA-256, in hexadecimal."""
        return self._index.imported_from(sha256) is not None

    def hash_of(self, image_id: str) -> str | None:
        """SHA-256 of a picture's file as it was saved, or as it is where nobody wrote that down; None without one."""
        entry = self._index.entry(image_id)
        return None if entry is None else entry.sha256 or hashlib.sha256(self.open(image_id)).hexdigest()

    def count(self) -> int:
        """How many pictures there are."""
        return self._index.count()

    def thumbnail(self, image_id: str) -> bytes:
        """A WebP of the picture, made on first ask and kept. Raises `NotFound` or `StorageError`."""
        _, path = self._find_file(image_id)
        webp = self._thumbnails.get(path, lambda: self.open(image_id))
        if self._index.find(image_id) is None:
            self._thumbnails.drop(path)
            raise _not_found(image_id)
        return webp

    def _open(self, opened: Callable[[LiveIndex], None], strict: bool = False) -> None:
        from visioncraft_gallery_fs.index.start import start_index

        if self._opened is None:
            self._opened = start_index(self.root, opened, strict)

    @property
    def _standing(self) -> LiveIndex:
        if self._opened is None:
            raise StorageError(f"{self.root}: the gallery is not started; call start() first")
        return self._opened

    @property
    def _index(self) -> PictureIndex:
        return self._standing.reading()

    @property
    def _removal(self) -> Removal:
        from visioncraft_gallery_fs.upkeep.remove import Removal

        return Removal(self.root, self._standing, self._thumbnails)

    def _write(self, path: Path, data: bytes, replace: bool = False) -> None:
        try:
            self._folders.make(path.parent)
            if not path.parent.resolve().is_relative_to(self.root.resolve()):
                raise StorageError(f"{path.parent}: a symbolic link leads outside the gallery; remove it")
            durable.write_durably(path, data, replace)
        except OSError as error:
            disk.check_there(self.root)
            raise StorageError(f"{path}: cannot be written: {durable.reason(error)}") from error

    def _find(self, image_id: str) -> tuple[ImageRecord, Path]:
        if not is_image_id(image_id) or (found := self._index.find(image_id)) is None:
            raise _not_found(image_id)
        return found[0], durable.inside(self.root, found[1])

    def _find_file(self, image_id: str) -> tuple[ImageRecord, Path]:
        record, path = self._find(image_id)
        self._at(image_id, path, Path.stat)
        return record, path

    def _at(self, image_id: str, path: Path, ask: Callable[[Path], T]) -> T:
        """What is asked of an image's file. Raises as `open` does."""
        try:
            return ask(path)
        except OSError as error:
            raise self._unreadable(image_id, path, error) from error

    def _unreadable(self, image_id: str, path: Path, error: OSError) -> NotFound | StorageError:
        """What to raise. The row of a file removed by hand goes, unless the whole gallery is away, as a lost mount."""
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return StorageError(f"{path}: cannot be read: {durable.reason(error)}")
        disk.check_there(self.root)
        self._removal.forget(image_id, path)
        return _not_found(image_id)

    def _retain(self) -> None:
        """Remove what the settings call surplus."""
        bounds = self._settings.keep_days, self._settings.keep_pictures, self._settings.keep_gb
        if any(bounds):
            from visioncraft_gallery_fs.upkeep.retention import Retention

            Retention(*bounds).enforce(self._index, self.delete_many)


def _not_found(image_id: str) -> NotFound:
    return NotFound(f"No picture {image_id[:64]!r}; GET /gallery lists those there are")

"""Filling the index from the files alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visioncraft import Marks, StorageError, is_image_id, read_record_file

from visioncraft_gallery_fs.files.durable import picture_files, relative
from visioncraft_gallery_fs.files.paths import path_for
from visioncraft_gallery_fs.files.sidecars import read_marks
from visioncraft_gallery_fs.index.index import PictureIndex
from visioncraft_gallery_fs.index.rows import to_row

_BATCH = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rebuild did.

    Args:
        indexed: Pictures in the index now.
        removed: Rows whose picture is gone.
        skipped: One sentence for each file that looks like a picture, or a picture's marks, and could not be read as
            such.
    """

    indexed: int
    removed: int
    skipped: Sequence[str]

    def log(self, root: Path) -> None:
        """Tell of a rebuild that nobody asked for."""
        if self.indexed or self.skipped:
            told = f"{self.indexed} pictures, {len(self.skipped)} files skipped"
            _log.warning("%s: the index was missing, damaged or of another version and was rebuilt: %s", root, told)
        for sentence in self.skipped:
            _log.warning("Not indexed: %s", sentence)


def rebuild(root: Path, index: PictureIndex, report: Callable[[int, int], None] | None = None) -> Outcome:
    """Make the index say what the files say, while others may go on saving, reading and deleting.

    Rows are put and removed in place: readers always see an index, and a picture saved meanwhile keeps its row,
    because only rows that were there before the first file was looked at are ever removed.

    Args:
        report: Called with (files read, files in all) as it goes.

    Raises `StorageError` when the index cannot be written.
    """
    before = index.paths().keys()
    files = list(picture_files(root))
    found: dict[str, str] = {}
    skipped: list[str] = []
    for done, batch in _batches(files):
        index.put(_rows(root, batch, found, skipped))
        if report is not None:
            report(done, len(files))
    removed = index.remove(sorted(before - found.keys()))
    index.mark_complete()
    return Outcome(len(found), len(removed), skipped)


def add_missing(root: Path, index: PictureIndex) -> None:
    """Put the pictures into a complete index that it lacks; what it has stays. Raises `StorageError` or `OSError`."""
    found = index.paths()
    known, skipped = set(found.values()), list[str]()
    lacking = [path for path in picture_files(root) if relative(root, path) not in known]
    for _, batch in _batches(lacking):
        index.put(_rows(root, batch, found, skipped))


def _batches(files: Sequence[Path]) -> Iterator[tuple[int, Sequence[Path]]]:
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        yield start + len(batch), batch


def _rows(root: Path, batch: Sequence[Path], found: dict[str, str], skipped: list[str]) -> list[dict[str, Any]]:
    """The rows of these files; `found` has the path of every picture by its id. A copy never takes the original's."""
    rows: dict[str, dict[str, Any]] = {}
    for path in batch:
        try:
            row, at_home = _row(root, path, skipped)
        except StorageError as error:
            skipped.append(error.message)
            continue
        before = found.get(row["id"])
        if before is None or at_home:
            found[row["id"]], rows[row["id"]] = row["path"], row
        if before is not None:
            skipped.append(
                f"{root / before if at_home else path}: a copy of picture {row['id']}, which has another file"
            )
    return list(rows.values())


def _row(root: Path, path: Path, skipped: list[str]) -> tuple[dict[str, Any], bool]:
    """A picture's row, and whether its file is where it was saved."""
    record = read_record_file(path)
    if record is None:
        raise StorageError(f"{path}: no VisionCraft record inside")
    if not is_image_id(record.id):
        raise StorageError(f"{path}: its record's id {record.id!r} is none of ours")
    at_home = path_for(record)[1] == relative(root, path)
    record = replace(record, filename=path.name, marks=_marks(path, skipped))
    return to_row(record, relative(root, path), _size(path)), at_home


def _marks(path: Path, skipped: list[str]) -> Marks:
    """A picture whose marks cannot be read is listed all the same, without them."""
    try:
        return read_marks(path)
    except StorageError as error:
        skipped.append(error.message)
        return Marks()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error

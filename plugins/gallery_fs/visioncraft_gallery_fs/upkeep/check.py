"""`visioncraft gallery check`: whether the files are what was saved, and the index says what the files say."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from visioncraft import ImageRecord, StorageError, is_image_id, read_record

from visioncraft_gallery_fs.files import durable
from visioncraft_gallery_fs.files.sidecars import read_marks
from visioncraft_gallery_fs.index.index import PictureIndex
from visioncraft_gallery_fs.index.rows import Entry

Hashes = dict[str, tuple[str, int]]
"""SHA-256 and bytes of files, by the pictures' ids."""


@dataclass(slots=True)
class Findings:
    """What a check found.

    Args:
        whole: Pictures whose file is what was saved, or, where that was not known, whole by the PNG's own checksums.
        noted: How many of these had no hash yet, because their index was rebuilt, or another one that was to be
            accepted. They have theirs now.
        problems: One sentence for each thing that is wrong, with what to do about it.
    """

    whole: int = 0
    noted: int = 0
    problems: list[str] = field(default_factory=list)


def check(
    root: Path,
    index: PictureIndex,
    note: Callable[[Hashes], None],
    report: Callable[[int, int], None] | None = None,
    accept: bool = False,
) -> Findings:
    """Look at every file once, while others may go on saving, reading and deleting.

    Args:
        note: Writes down the hashes of pictures that had none, or another one that was to be accepted. Where it raises
            `StorageError`, as on a full disk, they are noted another time.
        report: Called with (pictures checked, pictures in all) as it goes.
        accept: Take changed files for what they shall be, where they are whole: somebody has edited them.

    Raises `StorageError` when the index cannot be used.
    """
    findings = Findings()
    findings.problems += [f"{index.file}: {said}; run 'visioncraft gallery reindex'" for said in index.damage()]
    known: set[str] = set()
    after: int | None = None
    total = index.count()
    while batch := index.entries(after):
        _check_batch(root, index, batch, findings, note, accept)
        known.update(entry.path for entry in batch)
        after = batch[-1].key
        if report is not None:
            report(len(known), max(total, len(known)))
    _check_strangers(root, index, known, findings)
    return findings


def _check_batch(
    root: Path,
    index: PictureIndex,
    batch: Sequence[Entry],
    findings: Findings,
    note: Callable[[Hashes], None],
    accept: bool,
) -> None:
    hashes: Hashes = {}
    for entry in batch:
        try:
            digest, size = _checked(durable.inside(root, entry.path), entry, accept)
            read_marks(root / entry.path)
        except StorageError as error:
            if index.entry(entry.id) is not None:  # else somebody deleted it just now
                findings.problems.append(error.message)
        else:
            findings.whole += 1
            if entry.sha256 != digest:
                hashes[entry.id] = digest, size
    try:
        if hashes:
            note(hashes)
            findings.noted += len(hashes)
    except StorageError as error:
        findings.problems += [error.message] if accept else []


def _checked(path: Path, entry: Entry, accept: bool) -> tuple[str, int]:
    """The file's hash and size. Raises `StorageError` that says what is wrong."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"{path}: removed by hand; 'visioncraft gallery reindex' drops its row") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {durable.reason(error)}") from error
    digest = hashlib.sha256(content).hexdigest()
    if entry.sha256 is None or (accept and entry.sha256 != digest):
        _check_chunks(path, content)
    elif entry.sha256 != digest:
        raise StorageError(
            f"{path}: not the bytes that were saved (SHA-256 differs); restore it from a copy, "
            "or run 'visioncraft gallery check --accept' if you changed it"
        )
    return digest, len(content)


def _check_chunks(path: Path, content: bytes) -> ImageRecord:
    """The record inside a whole picture. Raises `StorageError` that says what is wrong."""
    from PIL import Image

    try:
        record = read_record(content)
        with Image.open(BytesIO(content), formats=["PNG"]) as picture:
            picture.verify()
    except StorageError as error:
        raise StorageError(f"{path}: {error.message}") from error
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise StorageError(f"{path}: damaged: {error}") from error
    if record is None:
        raise StorageError(f"{path}: no VisionCraft record inside")
    return record


def _check_strangers(root: Path, index: PictureIndex, known: set[str], findings: Findings) -> None:
    for path in durable.picture_files(root):
        if durable.relative(root, path) not in known and (said := _said_of_stranger(root, index, path)):
            findings.problems.append(f"{path}: {said}")
    findings.problems += [f"{path}: a foreign file; move it elsewhere" for path in durable.strange_files(root)]


def _said_of_stranger(root: Path, index: PictureIndex, path: Path) -> str:
    """What to do about a picture that had no row; empty where it was saved or deleted while the check ran."""
    try:
        record = _check_chunks(path, path.read_bytes())
    except FileNotFoundError:
        return ""
    except (OSError, StorageError):
        return "not in the index, and no whole picture of ours; restore it from a copy or move it elsewhere"
    entry = index.entry(record.id)
    if entry is not None and entry.path == durable.relative(root, path):
        return ""
    if entry is not None or not is_image_id(record.id):
        return f"not in the index, and a copy of picture {record.id}; move it elsewhere"
    return "not in the index; 'visioncraft gallery reindex' lists it"

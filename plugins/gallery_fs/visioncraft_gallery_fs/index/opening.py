"""Opening an index: the gallery's own, or where nothing can be written, a look at it or a copy of it elsewhere."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from visioncraft import StorageError

from visioncraft_gallery_fs.index.index import DamagedIndex, PictureIndex
from visioncraft_gallery_fs.index.rebuild import rebuild

_LOG, _SHARED = "-wal", "-shm"
_MEMORY = "/dev/shm"  # noqa: S108 - only where the system's own folder for such files has no room
_ROOM = 32 * 2**20
"""Bytes to spare for a copy, which is also what one of ten thousand pictures takes that is filled from the files."""


def open_index(file: Path, thorough: bool = False) -> PictureIndex:
    """Open or make the index. A damaged one is set aside as `<name>.damaged`, and a fresh one takes its place.

    Args:
        thorough: Look at every page of the file, about a second for each million pictures. A start does without.

    Raises `StorageError`, or `OSError` where its file cannot be made or set aside.
    """
    try:
        return _prepared(file, thorough)
    except DamagedIndex:
        file.replace(file.with_name(f"{file.name}.damaged"))
        return _prepared(file)


def open_immutable(file: Path) -> PictureIndex:
    """A complete index that nobody can change: nothing is written beside it. Raises `StorageError` for any other.

    What a crash left in its log would not be seen.
    """
    if size_of(_beside(file, _LOG)):
        raise StorageError(f"{file}: its log holds what the file does not")
    index = PictureIndex(file, unchanging=True)
    try:
        if index.complete:
            index.try_out()
            return index
        raise StorageError(f"{file}: not filled to the end")
    except BaseException:
        index.close()
        raise


def open_copy(root: Path, file: Path) -> tuple[PictureIndex, tempfile.TemporaryDirectory[str]]:
    """A copy of a gallery's index in a temporary folder, filled from the files where it is damaged or incomplete.

    Raises `StorageError` or `OSError` where no temporary folder has room for it.
    """
    folder = tempfile.TemporaryDirectory(prefix="visioncraft-index-", dir=_roomy(file))
    try:
        for path in (file, _beside(file, _LOG)):
            with suppress(FileNotFoundError):
                shutil.copyfile(path, Path(folder.name, path.name))
        index = open_index(Path(folder.name, file.name))
        if not index.complete:
            rebuild(root, index).log(root)
    except BaseException:
        folder.cleanup()
        raise
    return index, folder


def size_of(file: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _prepared(file: Path, thorough: bool = False) -> PictureIndex:
    _make(file)
    index = PictureIndex(file)
    try:
        index.prepare(thorough)
    except BaseException:
        index.close()
        raise
    return index


def _make(file: Path) -> None:
    """Make an empty file where there is none.

    What an index that somebody moved or deleted has left beside it goes first: it would be taken for the new one's, and
    who still has the old one open would share its memory.
    """
    if file.exists():
        return
    with _alone(file):
        if not file.exists():
            for left in (_LOG, _SHARED):
                _beside(file, left).unlink(missing_ok=True)
            file.touch()


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """While another process makes the index, wait. The folder itself is not for locking: a server may hold it."""
    claim = file.with_name(f".{file.name}.tmp")
    while True:
        descriptor = os.open(claim, os.O_WRONLY | os.O_CREAT, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), claim.stat()):
                break
        os.close(descriptor)  # who had it before has removed it
    try:
        yield
    finally:
        claim.unlink(missing_ok=True)
        os.close(descriptor)


def _roomy(file: Path) -> str:
    """A folder for temporary files with room for a copy."""
    needed = size_of(file) + size_of(_beside(file, _LOG)) + _ROOM
    for folder in (tempfile.gettempdir(), _MEMORY):
        with suppress(OSError):
            if shutil.disk_usage(folder).free >= needed:
                return folder
    raise StorageError(
        f"No temporary folder has {needed // 2**20} MiB for the gallery's index; free some, or set TMPDIR"
    )


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)

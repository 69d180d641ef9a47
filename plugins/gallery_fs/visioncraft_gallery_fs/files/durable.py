"""Files that are whole or absent, and that survive a power cut once written.

The order is the one https://danluu.com/file-consistency/ and the Linux manual's fsync(2) ask for: write a temporary
file, fsync it, rename it, fsync the folder that now names it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from visioncraft import StorageError

PICTURE_PATH = re.compile(
    r"(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2})/(?P<name>generated_image_[0-9]{8}_[0-9]{6}_[0-9a-hjkmnp-tv-z]{6}\.png)"
)
"""What a picture's path below the gallery's folder looks like. Nothing else is ever opened."""

STALE_AFTER_S = 900.0
"""Age in seconds from which a temporary file belongs to nobody: a save takes milliseconds, a stalled disk minutes."""

INDEX = "index.sqlite3"
"""The index's name."""

_TEMPORARY = ".tmp"
_OURS = (INDEX, f"{INDEX}-wal", f"{INDEX}-shm", f"{INDEX}.damaged", ".thumbnails", "lost+found")
"""What stands in the gallery's folder beside the years; the last one is the file system's own."""

_MOVE = "or set [plugins.config.gallery_fs] root to another folder"
_NEXT_STEPS = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota",
    errno.EACCES: "give this user write permission",
    errno.EPERM: "give this user write permission",
    errno.EROFS: "mount it writable",
    errno.ENOTDIR: "remove the file that stands in the folder's place",
    errno.ENOENT: "make the folder",
    errno.EEXIST: "remove what stands in its place",
}
_TOO_MANY = {errno.EMFILE, errno.ENFILE}


class Folders:
    """Makes folders below `root` and knows which of them are on disk for certain."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()
        self._lock = Lock()

    def make(self, folder: Path) -> None:
        """Make `folder` and its parents, and fsync each parent that names one. Raises `OSError`.

        The lock makes a thread that finds a folder already there wait until the thread that made it has made it last.
        """
        with self._lock:
            if folder in self._durable and folder.is_dir():
                return
            for ancestor in (*reversed(folder.relative_to(self._root).parents[:-1]), folder.relative_to(self._root)):
                (self._root / ancestor).mkdir(exist_ok=True)
                sync_folder((self._root / ancestor).parent)
            self._durable.add(folder)


def write_durably(path: Path, data: bytes, replace: bool = False) -> None:
    """Write a file that is on disk, whole, when this returns; on failure nothing is left of it. Raises `OSError`.

    A new file's temporary name follows from its own, so two writers of one name exclude each other, in different
    processes too. What a killed writer left under that name is overwritten: its picture may be drawn again.

    Args:
        replace: Take the place of a file that is there. It then stays as it was until the new one is whole.
    """
    temporary = _replacement_of(path) if replace else path.with_name(f".{path.name}{_TEMPORARY}")
    with os.fdopen(_claim(temporary), "wb") as stream:
        try:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            if not replace and os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            temporary.rename(path)
        except BaseException:
            remove_quietly(temporary)
            raise
    try:
        sync_folder(path.parent)
    except BaseException:
        if not replace:  # what was there before is gone already, and the new one is whole
            remove_quietly(path)
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, of any size, that takes its name, and the place of what had it, once it is whole and on disk.

    On whatever ends the block early nothing is left of it. Raises `StorageError` that names the file and the next step.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise StorageError(f"{path}: is no ordinary file; name another")
    temporary = _replacement_of(target)
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        remove_quietly(temporary)
        raise StorageError(f"{path}: cannot be written: {reason(error, 'or name another file')}") from error
    except BaseException:
        remove_quietly(temporary)
        raise


def is_unfinished(path: Path, image_id: str) -> bool:
    """Whether a crash left this picture's file before its row was written. Any other file there is somebody else's."""
    if not path.is_file():
        return False
    from visioncraft import read_record_file

    with suppress(StorageError):  # damaged: none of ours, as a file is whole before it has its name
        left = read_record_file(path)
        return left is not None and left.id == image_id
    return False


def _claim(path: Path) -> int:
    """Open an empty file that is this writer's until it closes it; a killed writer's lock is gone with it.

    Raises `FileExistsError` while another writer has it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):  # it was another's, who has just renamed it
            raise BlockingIOError
        os.ftruncate(descriptor, 0)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError | FileNotFoundError):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        raise
    return descriptor


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_quietly(path: Path) -> None:
    """Remove a file after a failure, of which the caller already tells; a second one would hide the first."""
    with suppress(OSError):
        path.unlink()
        sync_folder(path.parent)


def sweep(root: Path, newest_days: int | None = 3) -> int:
    """Remove temporary files that a crash left in the newest folders; returns how many.

    Only the newest ones, because a server that was killed was writing into the last of them, and a walk through years
    of pictures would delay every start. None means all of them.
    """
    thumbnails = (day for side in _subfolders(root / ".thumbnails") for day in islice(_days(side), newest_days))
    folders = [root, *islice(_days(root), newest_days), *thumbnails]
    return sum(_remove_stale(folder) for folder in folders)


def picture_files(root: Path) -> Iterator[Path]:
    """Every file that looks like a picture of this gallery, newest day first. Symbolic links are not followed."""
    for day in _days(root):
        for path in sorted(day.iterdir()):
            if PICTURE_PATH.fullmatch(relative(root, path)) and not path.is_symlink():
                yield path


def has_days(root: Path) -> bool:
    """Whether there is any dated folder below `root`."""
    return next(_days(root), None) is not None


def inside(root: Path, path: str) -> Path:
    """The absolute path of a picture from its path in the index.

    Raises `StorageError` for one that is not shaped like a picture's or that a symbolic link leads out of `root`.
    """
    try:
        ours = PICTURE_PATH.fullmatch(path) and (root / path).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a loop of links; Python before 3.13 raises RuntimeError
        ours = False
    if not ours:
        raise StorageError(f"{root}: {path!r} leads outside the gallery; run 'visioncraft gallery reindex'")
    return root / path


def strange_files(root: Path) -> Iterator[Path]:
    """What is neither a picture of this gallery nor belongs to one; links too. A strange folder counts as one."""
    years = _subfolders(root, digits=4)
    months = [month for year in years for month in _subfolders(year, digits=2)]
    days = list(_days(root))
    ours = {*years, *months, *days, *(root / name for name in _OURS)}
    for folder in (root, *years, *months):
        yield from (path for path in sorted(folder.iterdir()) if path not in ours and not _is_temporary(path))
    for day in days:
        for path in sorted(day.iterdir()):
            shaped = PICTURE_PATH.fullmatch(relative(root, path.with_suffix(".png")))
            ours_too = shaped and (
                path.suffix == ".png" or (path.suffix == ".json" and path.with_suffix(".png").exists())
            )
            if (not ours_too or path.is_symlink()) and not _is_temporary(path):
                yield path


def relative(root: Path, path: Path) -> str:
    """A path below `root` as the index writes it, with `/` on every system."""
    return path.relative_to(root).as_posix()


def reason(error: OSError, otherwise: str = _MOVE) -> str:
    """What the system said, and what to do about it.

    Args:
        otherwise: The other way out.
    """
    said = error.strerror or str(error)
    if error.errno in _TOO_MANY:
        return f"{said}; close some connections to the server, or start it with a larger `ulimit -n`"
    return f"{said}; {_NEXT_STEPS.get(error.errno or 0, 'check the disk')} {otherwise}"


def _replacement_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns()}{_TEMPORARY}")


def _is_temporary(path: Path) -> bool:
    return path.name.endswith(_TEMPORARY)


def _days(root: Path) -> Iterator[Path]:
    """The dated folders below `root`, newest first."""
    for year in _subfolders(root, digits=4):
        for month in _subfolders(year, digits=2):
            yield from _subfolders(month, digits=2)


def _subfolders(folder: Path, digits: int | None = None) -> list[Path]:
    try:
        found = [Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    wanted = [path for path in found if digits is None or re.fullmatch(rf"[0-9]{{{digits}}}", path.name)]
    return sorted(wanted, reverse=True)


def _remove_stale(folder: Path) -> int:
    removed = 0
    for path in folder.glob(f".*{_TEMPORARY}"):
        with suppress(OSError):  # another process may be sweeping, or have finished its save
            if time.time() - path.stat().st_mtime > STALE_AFTER_S:
                path.unlink()
                removed += 1
    return removed

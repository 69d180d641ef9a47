"""Whether the gallery's disk takes anything more."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

from visioncraft import ConfigurationError, StorageUnavailable

from visioncraft_gallery_fs.files.durable import has_days, reason, sync_folder, write_durably

_FULL = {errno.ENOSPC, errno.EDQUOT}
_BACK = "mount its disk, or move the folder back"
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def write_problem(root: Path) -> str | None:
    """Make the gallery's folder and write into it once. Answers what is in the way of new pictures, None for nothing.

    Raises `ConfigurationError` with the next step where that is in the way of a gallery altogether: a disk that is full
    may have room later, and one that takes nothing may have pictures to show; any other failure is none to live with.
    """
    probe = root / f".probe-{os.getpid()}-{time.monotonic_ns()}.tmp"
    try:
        root.mkdir(parents=True, exist_ok=True)
        sync_folder(root.parent)
        write_durably(probe, b"VisionCraft was here")
        probe.unlink()
    except OSError as error:
        said = f"{root}: the gallery cannot be written: {reason(error)}"
        if root.is_dir() and (error.errno in _FULL or (error.errno in _REFUSED and has_days(root))):
            return said
        raise ConfigurationError(said) from error
    return None


def is_writable(root: Path) -> bool:
    """Whether this user may write below `root`, on a full disk too."""
    return os.access(root, os.W_OK | os.X_OK)


def check_there(root: Path, device: int | None = None) -> None:
    """Raise `StorageUnavailable` where the gallery's folder is away, as with a disk that was unplugged or unmounted.

    Args:
        device: The `st_dev` of the disk that the gallery was on; what is left of a mount is an empty folder on another.
    """
    try:
        found = root.stat().st_dev
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StorageUnavailable(f"{root}: the gallery's folder is away: {_BACK}") from error
    except OSError as error:
        raise StorageUnavailable(f"{root}: the gallery cannot be reached: {reason(error)}") from error
    if device not in (None, found):
        raise StorageUnavailable(f"{root}: the gallery's disk is away, an empty folder is left: {_BACK}")


def check_writable(root: Path) -> None:
    """Raise `StorageUnavailable` where this user may not write below `root`, or it is away."""
    check_there(root)
    if not is_writable(root):
        number = errno.EROFS if _is_read_only(root) else errno.EACCES
        error = OSError(number, os.strerror(number))
        raise StorageUnavailable(f"{root}: the gallery cannot be written: {reason(error)}") from error


def check_room(root: Path, least_mb: int) -> None:
    """Raise `StorageUnavailable` where less than `least_mb` (2**20 bytes) is free below `root`."""
    try:
        free = shutil.disk_usage(root).free
    except OSError as error:
        raise StorageUnavailable(f"{root}: the gallery cannot be reached: {reason(error)}") from error
    if free < least_mb * 2**20:
        told = f"the disk is full: {free // 2**20} MiB are free, new pictures need {least_mb} (min_free_mb)"
        raise StorageUnavailable(f"{root}: {reason(OSError(errno.ENOSPC, told))}")


def _is_read_only(root: Path) -> bool:
    try:
        return bool(os.statvfs(root).f_flag & os.ST_RDONLY)
    except OSError:
        return False

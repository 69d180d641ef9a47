"""Whose fault a failed save is: the disk's, which mends and has it tried again, or one picture's own."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator

from visioncraft.errors import StorageUnavailable

_A_FILES_OWN = {errno.EFBIG, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ELOOP}
"""What the system says of one file, however often it is tried. Anything else it says of the disk, or of itself."""

_DISKS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


def is_momentary(error: BaseException) -> bool:
    """Whether the disk is at fault, as it says itself or what raised it does."""
    causes = list(_causes(error))
    if any(isinstance(each, StorageUnavailable) for each in causes):
        return True
    system = [each.errno for each in causes if isinstance(each, OSError) and each.errno]
    return bool(system and system[-1] not in _A_FILES_OWN) or any(_code(each) in _DISKS for each in causes)


def is_its_own(error: BaseException) -> bool:
    """Whether the system refuses this one file."""
    return any(isinstance(each, OSError) and each.errno in _A_FILES_OWN for each in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _code(error: BaseException) -> int:
    """SQLite's code of an error, without what extends it; SQLAlchemy wraps the driver's error."""
    return getattr(getattr(error, "orig", error), "sqlite_errorcode", 0) & 0xFF

"""One server for each data folder."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # where there is no flock, the lock file has to do
    fcntl = None  # type: ignore[assignment]

_TAKEN = {errno.EAGAIN, errno.EACCES}


class InUse(Exception):
    """Another server has the folder."""


class FolderLock:
    """The lock on a ledger, until it is released or the process ends.

    There are two: one on a file beside the ledger, which every file system can lock, and one on the folder itself,
    which nobody can remove from under a running server as he can a file. A file system that does not lock folders (NFS)
    leaves it at the first.

    Args:
        file: The ledger.

    Raises:
        InUse: Another server has it.
        OSError: Nothing can be written there.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._folder = _locked_folder(file.parent)
        self._file = FileLock(f"{file}.lock", timeout=0)
        try:
            # FileLock takes whatever keeps it from opening the file for another's lock: this says what it is.
            os.close(os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT, 0o644))
            self._file.acquire()
        except Timeout:
            self.release()
            raise InUse from None
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let others have it."""
        self._file.release()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


def _locked_folder(folder: Path) -> int | None:
    """A descriptor whose lock ends with it; None where folders cannot be locked."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with suppress(OSError):
            os.close(descriptor)
        if error.errno in _TAKEN:
            raise InUse from None
        return None
    return descriptor

"""Reading the index into the system's cache, so that a search after a restart finds it in memory.

In a process of its own: when a process closes a file, POSIX takes away all locks that it has on it, SQLite's too
(https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

_READ = """
import sys
buffer = bytearray(2**20)
with open(sys.argv[1], "rb", buffering=0) as stream:
    while stream.readinto(buffer):
        pass
"""
_WORTH = 64 * 2**20
_SHARE = 0.5


class Prefetch:
    """Reads a file from beginning to end, while the server goes on.

    What a search shows lies all over the index: fifty pictures are fifty places on the disk, each of them waited for.
    One pass in the order of the file takes a second or two for a million pictures.

    Args:
        file: What to read. One that is larger than half of the machine's memory is left alone: it would push itself
            out.
        worth: And so is one of fewer bytes, which a disk reads ahead of itself.
    """

    def __init__(self, file: Path, worth: int = _WORTH) -> None:
        self._file, self._worth = file, worth
        self._reader: subprocess.Popen[bytes] | None = None

    @property
    def reader(self) -> int | None:
        """The process that reads or has read; None where none does."""
        return None if self._reader is None else self._reader.pid

    def start(self) -> None:
        """Begin, where it has not begun. A file that cannot be read is not its affair."""
        if self._reader is None and self._is_worth_it():
            command = [sys.executable, "-I", "-S", "-c", _READ, str(self._file)]
            quiet = subprocess.DEVNULL
            with suppress(OSError):
                self._reader = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)  # noqa: S603 - ours
                Thread(target=self._reader.wait, name="gallery index into memory", daemon=True).start()

    def wait(self) -> None:
        """Wait until everything is read."""
        if self._reader is not None:
            self._reader.wait()

    def stop(self) -> None:
        """End it at once; it can be started again."""
        if self._reader is not None:
            self._reader.kill()
            self._reader.wait()
            self._reader = None

    def _is_worth_it(self) -> bool:
        try:
            size = self._file.stat().st_size
        except OSError:
            return False
        return self._worth <= size <= _SHARE * _memory()


def _memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

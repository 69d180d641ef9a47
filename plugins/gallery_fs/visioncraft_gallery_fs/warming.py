"""Reading the index into the system's cache, so that a search after a restart finds it in memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

_PIECE = 2**20
_SHARE = 0.5


class Warming:
    """Reads a file from beginning to end, in a thread of its own.

    What a search shows lies all over the index: fifty pictures are fifty places on the disk, each of them waited for.
    One pass in the order of the file takes a second or two for a million pictures.

    Parameters
    ----------
    file: What to read. One that is larger than half of the machine's memory is left alone: it would push itself out.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stopped = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin, where it has not begun. A file that cannot be read is not its affair."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = Thread(target=self._read, name="gallery index into memory", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until everything is read."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End it at once; it can be started again."""
        self._stopped.set()
        self.wait()
        self._thread = None

    def _read(self) -> None:
        buffer = bytearray(_PIECE)
        with suppress(OSError), self._file.open("rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size > _SHARE * _memory():
                return
            while not self._stopped.is_set() and stream.readinto(buffer):
                pass


def _memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

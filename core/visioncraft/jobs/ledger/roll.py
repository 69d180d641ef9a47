"""The roll of jobs that were accepted and have not ended: what tells that the ledger has lost one.

SQLite takes a file of length 0 for a new database, and forgets in silence what stands in its log behind a damaged page.
The roll lies beside the ledger, one line for each job that comes (`+`) or ends (`-`), each written after the ledger's
commit. It is not synced: after a power cut it may know of fewer jobs than the ledger, and misses none in vain.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

_LINE = re.compile(r"([+-])(job_[0-9a-z]{26})")
_LONGEST = 10_000
"""Lines after which the roll is written anew."""


class Roll:
    """Which jobs are called when the next server starts. Used by one thread.

    Args:
        file: Where it is kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None
        self._lines = 0
        self.open = _called(file)
        """The jobs on it."""

    def note(self, came: Iterable[str] = (), ended: Iterable[str] = ()) -> None:
        """Put jobs on the roll, and take jobs off it. What cannot be written now is written with the next ones."""
        came, ended = list(came), list(ended)
        self.open = (self.open | set(came)) - set(ended)
        lines = [*(f"+{each}\n" for each in came), *(f"-{each}\n" for each in ended)]
        self._lines += len(lines)
        if self._descriptor is None or self._lines > _LONGEST:
            self.begin(self.open)
        else:
            self._append("".join(lines).encode("ascii"))

    def begin(self, unfinished: Iterable[str]) -> None:
        """Begin it anew with these jobs."""
        self.close()
        self.open, self._lines = set(unfinished), 0
        temporary = self._file.with_name(f"{self._file.name}.new")
        try:
            temporary.write_text("".join(f"+{each}\n" for each in sorted(self.open)), "ascii")
            temporary.chmod(0o600)
            temporary.replace(self._file)
            self._descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND)
        except OSError as error:  # it serves to tell of damage, and stands in the way of nothing
            log.debug("%s cannot be written: %s", self._file, error)

    def close(self) -> None:
        """Let the file go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, lines: bytes) -> None:
        try:
            whole = os.write(self._descriptor or 0, lines) == len(lines)
        except OSError as error:
            log.debug("%s cannot be written: %s", self._file, error)
            whole = False
        if not whole:  # half a line would spoil the next one
            self.close()


def _called(file: Path) -> set[str]:
    """The jobs that came and did not end, of the lines that are whole."""
    try:
        lines: Sequence[str] = file.read_text("ascii", "replace").split("\n")[:-1]
    except OSError:
        return set()
    called: dict[str, bool] = {}
    for line in lines:
        if found := _LINE.fullmatch(line):
            called[found[2]] = found[1] == "+"
    return {job_id for job_id, waits in called.items() if waits}

"""How many rows of one size share a denoiser call: found by timing real calls, and kept.

Larger calls pay until the device is busy; beyond that they only make everybody wait for everybody. Where that is
differs by model, size, precision and device, so no rule says it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from visioncraft_local_sd.device.measurements import Measurements

_FIRST, _LAST = 2, 128  # rows; one request under guidance has two
_TRIES = 3  # the fastest of so many calls counts: other work on the machine only ever makes one slower
_GAIN = 0.95  # twice as many rows pay where a row then takes less than this share of its time


@dataclass
class _Size:
    """What is known of one size."""

    rows: int = _FIRST
    settled: bool = False
    proven: int = 0  # rows that memory sufficed for
    times: dict[int, list[float]] = field(default_factory=dict)  # seconds a row, by rows
    threads: int = 0  # that these times were measured with


class BatchLimits:
    """The bounds of one model on one device.

    Args:
        choices: Where they are kept.
        precision: The denoiser's: another one has other bounds.
        room: For how many rows of a latent's height and width memory suffices now.
        settle: Waits for what the device is computing; None where calls return when they are done.
        threads: How many processor threads compute, None while that is being tried out: times are compared only where
            the number is the same.
    """

    def __init__(
        self,
        choices: Measurements,
        precision: str,
        room: Callable[[int, int], int],
        settle: Callable[[], None] | None = None,
        threads: Callable[[], int | None] = lambda: 0,
    ) -> None:
        self._choices, self._precision = choices, precision
        self._room, self._settle, self._threads = room, settle or (lambda: None), threads
        self._sizes: dict[tuple[int, int], _Size] = {}

    def rows(self, height: int, width: int) -> int:
        """At most so many rows now, 2 at least."""
        size = self._size(height, width)
        if size.rows > size.proven:
            return max(_FIRST, min(size.rows, self._room(height, width)))
        return size.rows

    @contextmanager
    def timed(self, height: int, width: int, rows: int) -> Iterator[None]:
        """Around each call; it is timed while the bound of its size is not settled."""
        size = self._size(height, width)
        if size.settled:
            yield
        else:
            self._settle()
            start = time.perf_counter()
            yield
            self._settle()
            self._learn(size, rows, time.perf_counter() - start)
            if size.settled:
                self._choices.put(self._name(height, width), str(size.rows))
        size.proven = max(size.proven, rows)

    def crowded(self, height: int, width: int, rows: int) -> None:
        """Memory ran out for so many."""
        size = self._size(height, width)
        size.rows, size.settled = max(_FIRST, rows // 2), True

    def _size(self, height: int, width: int) -> _Size:
        known = self._sizes.get((height, width))
        if known is None:
            kept = self._choices.get(self._name(height, width)) or ""
            usable = kept in {str(rows) for rows in range(_FIRST, _LAST + 1)}  # the file is anybody's to edit
            known = _Size(int(kept), settled=True) if usable else _Size()
            self._sizes[height, width] = known
        return known

    def _learn(self, size: _Size, rows: int, seconds: float) -> None:
        threads = self._threads()
        if threads is None:
            return
        if size.threads not in (0, threads):
            size.rows, size.times = _FIRST, {}  # begun anew
        size.threads = threads
        if rows != size.rows:
            return
        times = size.times.setdefault(rows, [])
        times.append(seconds / rows)
        if len(times) < _TRIES:
            return
        fewer = size.times.get(rows // 2)
        if fewer and min(times) > _GAIN * min(fewer):
            size.rows, size.settled = rows // 2, True
        else:
            size.rows, size.settled = min(2 * rows, _LAST), rows == _LAST

    def _name(self, height: int, width: int) -> str:
        return f"rows of {width}x{height} in {self._precision}"

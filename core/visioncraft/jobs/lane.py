"""One generator's queue: jobs wait in turn, as many run as the generator takes at once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from visioncraft.contracts import Generator
from visioncraft.jobs.job import Job

_FIRST_GUESS_S = 5.0
_NEWEST_WEIGHS = 0.3  # of an exponential mean


@dataclass(slots=True)
class Lane:
    """A generator with its waiting and running jobs."""

    generator: Generator
    waiting: deque[Job] = field(default_factory=deque)
    running: set[Job] = field(default_factory=set)
    _mean_s: float = _FIRST_GUESS_S

    @property
    def free(self) -> bool:
        """Whether the generator takes another job now."""
        return len(self.running) < self.generator.concurrency

    @property
    def wait_s(self) -> float:
        """About how long until a place in the queue is free again, in seconds."""
        return self._mean_s / max(1, self.generator.concurrency)

    def took(self, seconds: float) -> None:
        """Learn from a job that ended."""
        self._mean_s += _NEWEST_WEIGHS * (seconds - self._mean_s)

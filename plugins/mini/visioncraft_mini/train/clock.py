"""Training by the clock: a budget of minutes that survives restarts."""

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds spent of a budget, counting those before a restart."""

    budget: float
    spent_before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """Seconds of training so far."""
        return self.spent_before + time.monotonic() - self.started

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, 0 to 1 and beyond."""
        return self.spent / self.budget


class Every:
    """True once per so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether the time has come; asking starts the next interval."""
        now = time.monotonic()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True

"""How far a running job is and how long it will still take, from its own steps and from what earlier jobs took."""

from __future__ import annotations

from dataclasses import dataclass, field

_APART = ("starting", "loading", "waiting")  # stages that say nothing of how long drawing takes
_TRUSTED_STEPS = 3  # after so many measured steps a job's own pace weighs as much as what earlier ones took


@dataclass(slots=True)
class Pace:
    """One job's clock, which stands still until its first word and while its model is loaded.

    Args:
        began: When it left the queue; times are seconds of a monotonic clock.
    """

    began: float
    _apart: float = 0.0
    _apart_since: float | None = field(init=False)
    _first: tuple[int, float] | None = None
    _last: tuple[int, float] = (0, 0.0)

    def __post_init__(self) -> None:
        self._apart_since = self.began

    def note(self, stage: str, step: int, now: float) -> None:
        """What the job has just told."""
        if step < self._last[0]:  # begun anew
            self.began, self._apart, self._apart_since = now, 0.0, now
            self._first, self._last = None, (0, 0.0)
        if stage.startswith(_APART):
            self._apart_since = now if self._apart_since is None else self._apart_since
        elif self._apart_since is not None:
            self._apart += now - self._apart_since
            self._apart_since = None
        if step > self._last[0]:
            self._last = step, self.spent(now)
            self._first = self._first or self._last

    def spent(self, now: float) -> float:
        """Seconds of drawing, without those that loading took."""
        until = now if self._apart_since is None else self._apart_since
        return until - self.began - self._apart

    def left(self, steps: int, usual: float, now: float) -> float:
        """About how many seconds are left of `steps` steps.

        What earlier jobs of its size took, `usual`, weighs less with every step that is measured: the first one, with
        the encoding before it in it, is no measure of the others.
        """
        if self._first is None:
            return max(0.0, usual - self.spent(now))
        (first, began), (last, ended) = self._first, self._last
        since = self.spent(now) - ended
        by_others = usual * (steps - last) / steps
        if last == first:
            return max(0.0, by_others - since)
        weight = (last - first) / (last - first + _TRUSTED_STEPS)
        by_itself = (ended - began) / (last - first) * (steps - last)
        return max(0.0, weight * by_itself + (1 - weight) * by_others - since)

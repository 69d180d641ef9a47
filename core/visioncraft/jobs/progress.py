"""What generators report into: the progress of a job, and of work that nobody watches."""

from __future__ import annotations

from collections.abc import Callable

from visioncraft.errors import JobCancelled
from visioncraft.jobs.job import Job

Report = Callable[[Job, bytes | None], None]


class JobProgress:
    """The `Progress` of one picture of a job, in the event loop.

    Args:
        job: Learns where it is.
        report: Called after every change, with the preview where there is one.
        taken: Steps of each of the job's pictures, which may be drawn side by side.
        number: Which of them this is.
    """

    def __init__(self, job: Job, report: Report, taken: dict[int, int], number: int) -> None:
        self._job, self._report = job, report
        self._taken, self._number = taken, number

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled the job."""
        return self._job.cancel_requested

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Record step `step`; raises `JobCancelled` if the job was cancelled."""
        self._check()
        self._taken[self._number] = step
        self._job.step, self._job.stage = sum(self._taken.values()), "drawing"
        self._report(self._job, preview)

    def stage(self, name: str) -> None:
        """Record what is going on; raises `JobCancelled` if the job was cancelled."""
        self._check()
        self._job.stage = name
        self._report(self._job, None)

    def _check(self) -> None:
        if self._job.cancel_requested:
            raise JobCancelled


class NoProgress:
    """A `Progress` nobody watches, for loading a model outside any job."""

    cancelled = False

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Nothing to do."""

    def stage(self, name: str) -> None:
        """Nothing to do."""

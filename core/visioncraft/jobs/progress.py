"""What generators report into: the progress of a job, and of work that nobody watches."""

from __future__ import annotations

from collections.abc import Callable

from visioncraft.errors import JobCancelled
from visioncraft.jobs.job import Job

Report = Callable[[Job, bytes | None], None]


class JobProgress:
    """The `Progress` of one job, in the event loop.

    Parameters
    ----------
    job: Learns where it is.
    report: Called after every change, with the preview where there is one.
    before: Steps of earlier pictures of the job.
    """

    def __init__(self, job: Job, report: Report, before: int = 0) -> None:
        self._job = job
        self._before = before
        self._report = report

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled the job."""
        return self._job.cancel_requested

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Record step `step`; raises `JobCancelled` if the job was cancelled."""
        self._check()
        self._job.step, self._job.stage = self._before + step, "drawing"
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

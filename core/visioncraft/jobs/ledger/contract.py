"""What a ledger is: the one place that says which jobs were accepted, who runs them and how they ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from visioncraft.jobs.job import Job


class KeyTaken(Exception):
    """Another job has this idempotency key."""


class LeaseLost(Exception):
    """Another server runs this job, because this one was silent for longer than its lease."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A job that the ledger cannot tell of any more.

    Args:
        id: As far as it can be read.
        reason: What is wrong with it.
    """

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lease:
    """In whose name a server writes, and for how long what it holds is its own.

    Args:
        owner: The server; no two that run have the same, a restarted one neither.
        seconds: How long after its last heartbeat others leave a server's jobs alone.
    """

    owner: str
    seconds: float


class Ledger(Protocol):
    """Every accepted job until some time after its end, opened by one server with its `Lease`.

    A job that has not ended is held by one server. What is accepted is held by whoever accepted it, until that server
    ends or is silent for longer than its lease; then `take_over` gives it to whoever asks first. All methods are called
    in one event loop. Each raises `StorageError` where the ledger cannot be read or written, and `StorageUnavailable`
    where that mends by itself, as a full disk does.
    """

    shared: bool
    """Whether other servers may use the same ledger: only then are heartbeats sent and jobs taken over meanwhile."""

    async def add(self, job: Job) -> None:
        """Accept a job and hold it: when this returns, it outlives a kill of anything. Raises `KeyTaken`."""

    async def put(self, job: Job) -> None:
        """Write down where a job stands. What it asks for stays as it was accepted, less its images at the end.

        Raises `LeaseLost` where another server holds it.
        """

    async def heartbeat(self) -> Set[str]:
        """Say that this server lives, and hold what it holds for another lease; answers the ids of these jobs."""

    async def take_over(self) -> list[Job]:
        """Hold the jobs that have not ended and that nobody holds any more, and answer them in the order of coming.

        Called at a start, where a server's own jobs of before are nobody's too, and now and then of a shared ledger.
        """

    async def get(self, job_id: str) -> Job | None:
        """A job by its id."""

    async def by_key(self, key: str) -> Job | None:
        """The job that was accepted under an idempotency key."""

    async def latest(self, limit: int, state: str | None, live: Mapping[str, Job]) -> list[Job]:
        """The newest jobs, newest first; `live` ones are answered as they are there."""

    async def set_aside(self, limit: int, since: datetime) -> list[SetAside]:
        """Jobs that it cannot tell of any more, the last that was noticed first, of those that were after a time."""

    async def why_gone(self, job_id: str) -> str | None:
        """Why a job that was accepted is not there; None for one that never was, or that ended and was forgotten."""

    async def forget(self, older_than: datetime) -> int:
        """Drop jobs that ended before a time; answers how many."""

    async def paused(self) -> bool:
        """Whether the queue stands still, which outlives a restart too."""

    async def set_paused(self, value: bool) -> None:
        """Stop or go on."""

    async def close(self) -> None:
        """Write what waits, and let go of every job: others may take over at once what has not ended."""


@dataclass(frozen=True, slots=True)
class LedgerFactory:
    """A ledger that settings can select.

    Args:
        name: What `[jobs] ledger` calls it.
        open: Opens it for a server, before the event loop runs. Raises `ConfigurationError` where it cannot be.
    """

    name: str
    open: Callable[[Lease], Ledger]

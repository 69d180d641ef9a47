"""A ledger as a plugin author writes one, with public names alone: in memory, for any number of servers at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from visioncraft import Job, KeyTaken, Lease, LeaseLost, SetAside, job_of, row_of


@dataclass
class Row:
    """A job, and who holds it."""

    values: dict[str, Any]
    owner: str
    until: float

    @property
    def ended(self) -> bool:
        return self.values["ended_at"] is not None


@dataclass
class Memory:
    """What the servers share."""

    rows: dict[str, Row] = field(default_factory=dict)
    paused: bool = False
    clock: Callable[[], float] = time.monotonic


class SharedLedger:
    """One server's way to it."""

    shared = True

    def __init__(self, memory: Memory, lease: Lease) -> None:
        self._memory, self._lease = memory, lease

    async def add(self, job: Job) -> None:
        if job.order.key is not None and await self.by_key(job.order.key):
            raise KeyTaken
        self._memory.rows[job.id] = Row(row_of(job), self._lease.owner, self._until())

    async def put(self, job: Job) -> None:
        row = self._memory.rows[job.id]
        if row.owner != self._lease.owner:
            raise LeaseLost
        values = row_of(job)
        row.values = values if job.ended else {**values, "request": row.values["request"]}

    async def heartbeat(self) -> Set[str]:
        held = {job_id: row for job_id, row in self._memory.rows.items() if self._holds(row)}
        for row in held.values():
            row.until = self._until()
        return held.keys()

    async def take_over(self) -> list[Job]:
        free = [row for row in self._memory.rows.values() if not row.ended and row.until < self._memory.clock()]
        for row in free:
            row.owner, row.until = self._lease.owner, self._until()
        return [job_of(row.values) for row in free]

    async def get(self, job_id: str) -> Job | None:
        row = self._memory.rows.get(job_id)
        return job_of(row.values) if row else None

    async def by_key(self, key: str) -> Job | None:
        return next((job_of(row.values) for row in self._memory.rows.values() if row.values["key"] == key), None)

    async def latest(self, limit: int, state: str | None, live: Mapping[str, Job]) -> list[Job]:
        found = [row.values for row in reversed(self._memory.rows.values()) if state in (None, row.values["state"])]
        return [live.get(values["id"]) or job_of(values) for values in found[:limit]]

    async def set_aside(self, limit: int, since: datetime) -> list[SetAside]:
        return []

    async def why_gone(self, job_id: str) -> str | None:
        return None

    async def forget(self, older_than: datetime) -> int:
        old = [
            key
            for key, row in self._memory.rows.items()
            if row.ended and row.values["ended_at"] < older_than.timestamp()
        ]
        for key in old:
            del self._memory.rows[key]
        return len(old)

    async def paused(self) -> bool:
        return self._memory.paused

    async def set_paused(self, value: bool) -> None:
        self._memory.paused = value

    async def close(self) -> None:
        for row in self._memory.rows.values():
            if self._holds(row):
                row.owner, row.until = "", float("-inf")

    def _holds(self, row: Row) -> bool:
        return row.owner == self._lease.owner and not row.ended

    def _until(self) -> float:
        return self._memory.clock() + self._lease.seconds

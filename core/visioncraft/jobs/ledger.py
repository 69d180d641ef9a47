"""The durable ledger of jobs, in SQLite: what is accepted is committed, and outlives a kill -9 of anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    delete,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from visioncraft.errors import StorageError, from_plain, to_plain
from visioncraft.jobs.job import FINAL, Job, JobState, Order
from visioncraft.jobs.ledger_file import opened, reason
from visioncraft.jobs.tables import jobs, switches
from visioncraft.types import GenerationRequest, ImageRecord

T = TypeVar("T")
_PAUSED = "paused"
_COMING: ColumnElement[int] = literal_column("rowid", Integer)  # ids of one millisecond sort by chance


class KeyTaken(Exception):
    """Another job has this idempotency key."""


@dataclass(slots=True)
class _Write:
    work: Callable[[Connection], Any]
    done: asyncio.Future[Any]


class Ledger:
    """Every accepted job until some time after its end.

    Parameters
    ----------
    file: The SQLite file, for one server at a time; None keeps the ledger in memory, for a command.

    Raises `ConfigurationError` where another server has the file, or it cannot be opened. Where only the disk takes
    nothing, no job is accepted, and whatever else a server does goes on.

    Writes that come while another is being committed are committed together: one fsync serves them all.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        # One connection in one thread: nothing in here ever waits for a lock of SQLite's.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._pending: list[_Write] = []
        self._writer: asyncio.Task[None] | None = None
        self._lock, self._engine, self._refusal = opened(file, self._thread)

    async def add(self, job: Job) -> None:
        """Accept a job: when this returns, it is on disk. Raises `KeyTaken`, or `StorageError` for a full disk."""
        row = _row(job)
        await self._write(lambda connection: connection.execute(insert(jobs).values(row)))

    async def put(self, job: Job) -> None:
        """Write down where a job stands. What it asks for stays as it was accepted, less its pictures at the end."""
        row = _row(job)
        if not job.ended:
            del row["request"]
        await self._write(lambda connection: connection.execute(update(jobs).where(jobs.c.id == job.id).values(row)))

    async def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        return await self._one(jobs.c.id == job_id)

    async def by_key(self, key: str) -> Job | None:
        """The job that was accepted under an idempotency key."""
        return await self._one(jobs.c.key == key)

    async def unfinished(self) -> list[Job]:
        """Jobs that a server left queued or running, in the order of their coming."""
        query = select(jobs).where(jobs.c.state.not_in(FINAL)).order_by(_COMING)
        return [_job(row) for row in await self._read(lambda c: c.execute(query).all())]

    async def latest(self, limit: int, state: str | None = None) -> list[Job]:
        """The newest jobs, newest first."""
        query = select(jobs).order_by(_COMING.desc()).limit(limit)
        query = query.where(jobs.c.state == state) if state else query
        return [_job(row) for row in await self._read(lambda c: c.execute(query).all())]

    async def forget(self, older_than: datetime) -> int:
        """Drop jobs that ended before a time; answers how many."""
        gone = delete(jobs).where(jobs.c.state.in_(FINAL), jobs.c.ended_at < older_than.timestamp())
        return int(await self._write(lambda connection: connection.execute(gone).rowcount))

    async def paused(self) -> bool:
        """Whether the queue stands still, which outlives a restart too."""
        query = select(switches.c.value).where(switches.c.name == _PAUSED)
        return bool(await self._read(lambda c: c.execute(query).scalar()))

    async def set_paused(self, value: bool) -> None:
        """Stop or go on."""
        row = insert(switches).values(name=_PAUSED, value=int(value))
        row = row.on_conflict_do_update(index_elements=["name"], set_={"value": int(value)})
        await self._write(lambda connection: connection.execute(row))

    async def close(self) -> None:
        """Write what waits, and let the file go."""
        if self._writer is not None:
            await self._writer
        self._thread.submit(self._engine.dispose).result()
        self._thread.shutdown()
        if self._lock is not None:
            self._lock.release()

    async def _one(self, condition: Any) -> Job | None:
        row = await self._read(lambda connection: connection.execute(select(jobs).where(condition)).one_or_none())
        return None if row is None else _job(row)

    async def _read(self, query: Callable[[Connection], T]) -> T:
        def ask() -> T:
            with self._engine.connect() as connection:
                return query(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, ask)
        except SQLAlchemyError as error:
            raise self._broken(error) from error

    async def _write(self, work: Callable[[Connection], Any]) -> Any:
        if self._refusal is not None:
            raise StorageError(self._refusal)
        entry = _Write(work, asyncio.get_running_loop().create_future())
        self._pending.append(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        return await asyncio.shield(entry.done)

    async def _drain(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            works = [entry.work for entry in batch]
            outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, works)
            for entry, outcome in zip(batch, outcomes, strict=True):
                _settle(entry.done, outcome)

    def _commit(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        """All in one transaction; where one of them cannot be, each in its own, so that it fails alone."""
        try:
            with self._engine.begin() as connection:
                return [work(connection) for work in works]
        except IntegrityError:
            outcome: Any = KeyTaken()
        except SQLAlchemyError as error:
            outcome = self._broken(error)
        return [outcome] if len(works) == 1 else [self._commit([work])[0] for work in works]

    def _broken(self, error: SQLAlchemyError) -> StorageError:
        return StorageError(f"The ledger of jobs cannot be used: {reason(error)}; see to the disk of {self._file}")


def _settle(done: asyncio.Future[Any], outcome: Any) -> None:
    if done.cancelled():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)


def _row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.value,
        "client": job.order.client,
        "priority": job.order.priority,
        "key": job.order.key,
        "fingerprint": job.order.fingerprint,
        "request": msgspec.json.encode(job.request.without_pictures() if job.ended else job.request),
        "lost": job.lost,
        "image_id": job.image_id,
        "created_at": job.created_at.timestamp(),
        "started_at": job.started_at.timestamp() if job.started_at else None,
        "ended_at": job.ended_at.timestamp() if job.ended_at else None,
        "record": msgspec.json.encode(job.records if len(job.records) > 1 else job.record) if job.record else None,
        "error": msgspec.json.encode(to_plain(job.error)) if job.error else None,
        "warnings": msgspec.json.encode(job.order.warnings) if job.order.warnings else None,
    }


def _job(row: Row[Any]) -> Job:
    state = JobState(row.state)
    job = Job(
        id=row.id,
        request=msgspec.json.decode(row.request, type=GenerationRequest),
        order=Order(row.client, row.priority, row.key, row.fingerprint, _sentences(row.warnings)),
        state=state,
        lost=row.lost,
        image_id=row.image_id,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        started_at=datetime.fromtimestamp(row.started_at, UTC) if row.started_at else None,
        ended_at=datetime.fromtimestamp(row.ended_at, UTC) if row.ended_at else None,
        stage=state.value,
        records=_records(row.record),
        error=from_plain(msgspec.json.decode(row.error)) if row.error else None,
    )
    job.record = job.records[0] if job.records else None
    if job.ended:
        job.step = job.steps if job.record else 0
        job.announce()
    return job


def _sentences(column: bytes | None) -> tuple[str, ...]:
    return msgspec.json.decode(column, type=tuple[str, ...]) if column else ()


def _records(column: bytes | None) -> list[ImageRecord]:
    """A job's pictures: one is written as itself, several as a list."""
    if column is None:
        return []
    found = msgspec.json.decode(column, type=ImageRecord | list[ImageRecord])
    return found if isinstance(found, list) else [found]

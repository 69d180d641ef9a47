"""The durable ledger of jobs, in SQLite: what is accepted is committed, and outlives a kill -9 of anything."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    delete,
    insert,
    literal,
    literal_column,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.types import NullType

from visioncraft.errors import StorageError, StorageUnavailable
from visioncraft.jobs.job import FINAL, Job
from visioncraft.jobs.ledger.contract import KeyTaken, SetAside
from visioncraft.jobs.ledger.opening import opened, reason
from visioncraft.jobs.ledger.roll import Roll
from visioncraft.jobs.ledger.rows import DamagedRow, job_of, row_of
from visioncraft.jobs.ledger.tables import jobs, set_aside, switches

log = logging.getLogger(__name__)
T = TypeVar("T")
_PAUSED = "paused"
_COMING: ColumnElement[int] = literal_column("rowid", Integer)  # ids of one millisecond sort by chance
_AS_IT_IS: list[ColumnElement[Any]] = [
    _COMING.label("number"),
    *(type_coerce(column, NullType()).label(column.name) for column in jobs.columns),
]
"""A row's values without the conversions of their columns, which a damaged value would not survive."""
_LOST = "it was accepted, and the ledger has lost it; send it again"


@dataclass(slots=True)
class _Write:
    work: Callable[[Connection], Any]
    done: asyncio.Future[Any]
    came: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


class SqliteLedger:
    """A `Ledger` in one file, which one server has at a time: whatever is in it is that server's.

    Args:
        file: The SQLite file; None keeps the ledger in memory, for a command.

    Raises:
        ConfigurationError: Another server has the file, or it cannot be opened. Where only the disk takes nothing, no
            job is accepted, and whatever else a server does goes on.

    Writes that come while another is being committed are committed together: one fsync serves them all.
    """

    shared = False

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._held: set[str] = set()
        # One connection in one thread: nothing in here ever waits for a lock of SQLite's.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._pending: list[_Write] = []
        self._writer: asyncio.Task[None] | None = None
        try:
            self._lock, self._engine, self._refusal = opened(file, self._thread)
        except BaseException:
            self._thread.shutdown()
            raise
        self._roll = Roll(file.with_name(f"{file.name}.accepted")) if file and self._refusal is None else None

    async def add(self, job: Job) -> None:
        """Accept a job: when this returns, it is on disk. Raises `KeyTaken`, or `StorageError` for a full disk."""
        row = row_of(job)
        await self._write(lambda connection: connection.execute(insert(jobs).values(row)), came=(job.id,))
        self._held.add(job.id)

    async def put(self, job: Job) -> None:
        """Write down where a job stands. What it asks for stays as it was accepted, less its pictures at the end."""
        row = row_of(job)
        if not job.ended:
            del row["request"]
        change = update(jobs).where(jobs.c.id == job.id).values(row)
        await self._write(lambda connection: connection.execute(change), ended=(job.id,) if job.ended else ())
        if job.ended:
            self._held.discard(job.id)

    async def heartbeat(self) -> Set[str]:
        """The jobs that this server accepted or took over, and that have not ended: nobody else can have them."""
        return frozenset(self._held)

    async def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        return await self._one(jobs.c.id == job_id)

    async def by_key(self, key: str) -> Job | None:
        """The job that was accepted under an idempotency key."""
        return await self._one(jobs.c.key == key)

    async def take_over(self) -> list[Job]:
        """The jobs that an earlier server left queued or running, in the order of their coming; for a start.

        What was accepted and is nowhere is told in the log, and in `set_aside`.
        """
        if self._held:  # this is no start
            return []
        found = await self._jobs(select(*_AS_IT_IS).where(jobs.c.state.not_in(FINAL)).order_by(_COMING))
        if self._roll is not None:
            await self._tell_missing(self._roll.open - {job.id for job in found})
            await self._in_thread(partial(self._roll.begin, [job.id for job in found]))
        self._held = {job.id for job in found}
        return found

    async def latest(self, limit: int, state: str | None, live: Mapping[str, Job]) -> list[Job]:
        """The newest jobs, newest first. No row of a `live` one is read: pictures of megabytes wait in some."""
        query = select(*_AS_IT_IS[:2]).order_by(_COMING.desc()).limit(limit)  # number and id
        query = query.where(jobs.c.state == state) if state else query
        rows = await self._read(lambda connection: connection.execute(query).all())
        unknown = [row.number for row in rows if row.id not in live]
        found = {job.id: job for job in await self._jobs(select(*_AS_IT_IS).where(_COMING.in_(unknown)))}
        return [(live.get(row.id) or found[row.id]) for row in rows if row.id in live or row.id in found]

    async def set_aside(self, limit: int, since: datetime) -> list[SetAside]:
        """Jobs that it cannot tell of any more, the last that was noticed first, of those that were after a time."""
        query = select(set_aside.c.id, set_aside.c.reason).where(set_aside.c.noted_at >= since.timestamp())
        query = query.order_by(set_aside.c.number.desc()).limit(limit)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return [SetAside(str(row.id), row.reason) for row in rows]

    async def why_gone(self, job_id: str) -> str | None:
        """Why a job that was accepted is not there; None for one that never was, or that ended and was forgotten."""
        query = select(set_aside.c.reason).where(set_aside.c.id == job_id).limit(1)
        return await self._read(lambda connection: connection.execute(query).scalar())

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
        row = upsert(switches).values(name=_PAUSED, value=int(value))
        row = row.on_conflict_do_update(index_elements=["name"], set_={"value": int(value)})
        await self._write(lambda connection: connection.execute(row))

    async def close(self) -> None:
        """Write what waits, and let the file go."""
        if self._writer is not None:
            await self._writer
        self._thread.submit(self._engine.dispose).result()
        self._thread.shutdown()
        if self._roll is not None:
            self._roll.close()
        if self._lock is not None:
            self._lock.release()

    async def _one(self, condition: Any) -> Job | None:
        found = await self._jobs(select(*_AS_IT_IS).where(condition).limit(1))
        return found[0] if found else None

    async def _jobs(self, query: Select[Any]) -> list[Job]:
        """The jobs that a query finds. Rows that are no whole jobs are set aside, and cost the others nothing."""
        found = []
        for row in await self._read(lambda connection: connection.execute(query).all()):
            try:
                found.append(job_of(row._asdict()))
            except DamagedRow as error:
                await self._put_aside(row, str(error))
        return found

    async def _put_aside(self, row: Row[Any], because: str) -> None:
        said = f"its row in the ledger is damaged: {because}; it is kept in the table set_aside, send the job again"
        log.error("%s: %s", row.id, said)
        there = row.number == _COMING
        names = ["reason", "noted_at", *(column.name for column in jobs.columns)]
        values = select(literal(said), literal(time.time()), *jobs.columns).where(there)

        def move(connection: Connection) -> None:
            connection.execute(insert(set_aside).from_select(names, values))
            connection.execute(delete(jobs).where(there))

        with suppress(StorageError):  # there is a next time
            await self._write(move, ended=(str(row.id),))

    async def _tell_missing(self, called: set[str]) -> None:
        """Say which of the jobs that are called are nowhere."""

        def known(connection: Connection) -> set[str]:
            names = [select(table.c.id).where(table.c.id.in_(called)) for table in (jobs, set_aside)]
            return {row.id for query in names for row in connection.execute(query)}

        missing = sorted(called - await self._read(known)) if called else []
        if not missing:
            return
        shown = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
        log.error("%s: %d jobs that were accepted are not in it any more: %s", self._file, len(missing), shown)
        now = time.time()
        rows = [{"id": job_id, "reason": _LOST, "noted_at": now} for job_id in missing]
        with suppress(StorageError):
            await self._write(lambda connection: connection.execute(insert(set_aside), rows))

    async def _read(self, query: Callable[[Connection], T]) -> T:
        def ask() -> T:
            with self._engine.connect() as connection:
                return query(connection)

        try:
            return await self._in_thread(ask)
        except SQLAlchemyError as error:
            raise self._broken(error) from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _write(
        self, work: Callable[[Connection], Any], came: tuple[str, ...] = (), ended: tuple[str, ...] = ()
    ) -> Any:
        if self._refusal is not None:
            raise StorageUnavailable(self._refusal)
        entry = _Write(work, asyncio.get_running_loop().create_future(), came, ended)
        self._pending.append(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        return await asyncio.shield(entry.done)

    async def _drain(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            outcomes = await self._in_thread(partial(self._commit, batch))
            for entry, outcome in zip(batch, outcomes, strict=True):
                _settle(entry.done, outcome)

    def _commit(self, batch: Sequence[_Write]) -> list[Any]:
        """All in one transaction; where one of them cannot be, each in its own, so that it fails alone."""
        try:
            with self._engine.begin() as connection:
                outcomes = [entry.work(connection) for entry in batch]
        except IntegrityError:
            outcome: Any = KeyTaken()
        except SQLAlchemyError as error:
            outcome = self._broken(error)
        except Exception as error:  # whoever waits for it must hear of it
            outcome = error
        else:
            if self._roll is not None:
                self._roll.note(chain(*(entry.came for entry in batch)), chain(*(entry.ended for entry in batch)))
            return outcomes
        return [outcome] if len(batch) == 1 else [self._commit([entry])[0] for entry in batch]

    def _broken(self, error: SQLAlchemyError) -> StorageUnavailable:
        return StorageUnavailable(
            f"The ledger of jobs cannot be used: {reason(error)}; see to the disk of {self._file}"
        )


def _settle(done: asyncio.Future[Any], outcome: Any) -> None:
    if done.cancelled():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)

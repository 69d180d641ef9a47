"""What was ordered and what it cost: one SQLite table, a row for each job, on disk before anything is sent.

A row in the state `posting` says that an order may have gone out; only an order that provably did not arrive takes its
row back. So after a crash the row tells whether to order, to look for the generation, or to fetch it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from visioncraft import StorageError, StorageUnavailable

BUSY_TIMEOUT_S = 10.0

_META = MetaData()
_MAKING = Lock()
_orders = Table(
    "orders",
    _META,
    Column("job_id", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("generation_id", String, unique=True),
    Column("model_id", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("quality", String, nullable=False),
    Column("ordered_at", Float, nullable=False, index=True),
    Column("estimate", Float, nullable=False),
    Column("cost", Float),
    Column("unit", String),
)
_notes = Table("notes", _META, Column("name", String, primary_key=True), Column("at", Float), Column("value", JSON))


class State(StrEnum):
    """Where an order stands."""

    POSTING = "posting"
    """It may have gone out; what became of it is not known."""
    PENDING = "pending"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """As `posting`, and the user's generations have been looked through in vain."""


@dataclass(frozen=True, slots=True)
class Order:
    """A row.

    Args:
        job_id: Whose it is.
        model_id, prompt, seed, width, height, quality: What was ordered, as it was sent.
        state: Where it stands.
        generation_id: Leonardo.ai's name for it, once known.
        ordered_at: Seconds since 1970.
        estimate, cost: What it was taken to cost and what it costs, in `unit`.
    """

    job_id: str
    model_id: str
    prompt: str
    seed: int
    width: int
    height: int
    quality: str
    state: State = State.POSTING
    generation_id: str | None = None
    ordered_at: float = 0.0
    estimate: float = 0.0
    cost: float | None = None
    unit: str | None = None


class BudgetSpent(Exception):
    """The day's budget does not allow this order.

    Args:
        spent, estimate: Of today, and of this order.
    """

    def __init__(self, spent: float, estimate: float) -> None:
        super().__init__(f"{spent:g} spent, {estimate:g} wanted")
        self.spent = spent
        self.estimate = estimate


_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Ledger:
    """The orders of one server, in a file of mode 0600 that several processes may use. Methods raise `StorageError`.

    Args:
        file: Made where it is not there.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its log the same mode
        file.chmod(0o600)
        self._engine = create_engine(
            URL.create("sqlite", database=str(file)), connect_args={"timeout": BUSY_TIMEOUT_S}, max_overflow=-1
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        with self._transaction() as connection:
            _META.create_all(connection)

    def find(self, job_id: str) -> Order | None:
        """A job's order."""
        with self._transaction() as connection:
            row = connection.execute(select(_orders).where(_orders.c.job_id == job_id)).one_or_none()
        return None if row is None else Order(**{**row._mapping, "state": State(row.state)})

    def intend(self, order: Order, budget: float, assumed_cost: float) -> Order:
        """Write down that an order goes out now, in one transaction with the look at the budget.

        Args:
            budget: What today (UTC) may cost; 0 for no bound.
            assumed_cost: The estimate where nothing was ordered before.

        Raises `BudgetSpent`.
        """
        now = time.time()
        with self._transaction() as connection:
            estimate = _estimate(connection, order, assumed_cost)
            spent = _spent_since(connection, _midnight(now))
            if budget and spent + estimate > budget:
                raise BudgetSpent(spent, estimate)
            values = {column.name: getattr(order, column.name) for column in _orders.columns}
            values |= {"state": State.POSTING.value, "ordered_at": now, "estimate": estimate}
            connection.execute(insert(_orders).values(values))
        return Order(**{**values, "state": State.POSTING})

    def retract(self, job_id: str) -> None:
        """The order provably did not arrive, or was refused: it never was."""
        with self._transaction() as connection:
            connection.execute(delete(_orders).where(_orders.c.job_id == job_id, _orders.c.generation_id.is_(None)))

    def claim(self, job_id: str, generation_id: str, cost: float | None = None, unit: str | None = None) -> bool:
        """Write down which generation is the job's; False where it is another job's already."""
        values = {"generation_id": generation_id, "state": State.PENDING.value, "cost": cost, "unit": unit}
        try:
            with self._transaction() as connection:
                connection.execute(update(_orders).where(_orders.c.job_id == job_id).values(values))
        except IntegrityError:
            return False
        return True

    def settle(self, job_id: str, state: State) -> None:
        """Write down how it ended."""
        with self._transaction() as connection:
            connection.execute(update(_orders).where(_orders.c.job_id == job_id).values(state=state.value))

    def spent_today(self) -> float:
        """What was ordered today (UTC) costs, as far as it is known; else what it was taken to cost."""
        with self._transaction() as connection:
            return _spent_since(connection, _midnight(time.time()))

    def note(self, name: str, value: Any) -> None:
        """Remember a fact, with the time."""
        with self._transaction() as connection:
            values = {"name": name, "at": time.time(), "value": value}
            connection.execute(insert(_notes).prefix_with("OR REPLACE").values(values))

    def noted(self, name: str) -> tuple[Any, float]:
        """A remembered fact and its age in seconds; `(None, inf)` where there is none."""
        with self._transaction() as connection:
            row = connection.execute(select(_notes).where(_notes.c.name == name)).one_or_none()
        return (None, float("inf")) if row is None else (row.value, time.time() - row.at)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or type(error).__name__
            damaged = getattr(reason, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
            raise (StorageError if damaged else StorageUnavailable)(
                f"{self.file}: the ledger of orders cannot be used: {reason}; nothing is ordered"
            ) from None


def ledger_at(file: Path) -> Ledger:
    """This process's ledger in a file. Raises `StorageError`."""
    with _MAKING:  # SQLite waits for no other connection while a file gets its write-ahead log
        return _ledger_at(file)


@cache
def _ledger_at(file: Path) -> Ledger:
    try:
        return Ledger(file)
    except OSError as error:
        raise StorageError(f"{file}: the ledger of orders cannot be made: {error.strerror}; mend the folder") from error


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says, not where the driver guesses
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    # At once for writing: two processes must not both find room in one budget.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _midnight(now: float) -> float:
    return datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _spent_since(connection: Connection, moment: float) -> float:
    known = func.coalesce(_orders.c.cost, _orders.c.estimate)
    total = connection.execute(select(func.sum(known)).where(_orders.c.ordered_at >= moment)).scalar_one()
    return float(total or 0.0)


def _estimate(connection: Connection, order: Order, assumed: float) -> float:
    """The most that such a picture has cost; else the most that any has, but not less than what is assumed."""
    dearest = select(func.max(_orders.c.cost))
    alike = [_orders.c[name] == getattr(order, name) for name in ("model_id", "quality", "width", "height")]
    paid = connection.execute(dearest.where(*alike)).scalar_one()
    if paid is not None:
        return float(paid)
    return max(assumed, float(connection.execute(dearest).scalar_one() or 0.0))

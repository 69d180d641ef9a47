"""The index: one SQLite table with every field of every record.

Everything in it also stands in the pictures' files, so an index that is damaged, missing or of another layout is
thrown away and filled again; there are no migrations.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Self

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import StatementError
from visioncraft import ImageRecord, StorageError, canonical_id

LAYOUT = 1
"""The table's layout, kept in SQLite's `user_version` once the index is known to be complete."""

BUSY_TIMEOUT_S = 10.0
_INT64 = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REINDEX = "stop the server and run 'visioncraft gallery reindex'"
_NEXT_STEPS = {
    sqlite3.SQLITE_FULL: "free some space there",
    sqlite3.SQLITE_READONLY: "give this user write permission",
    sqlite3.SQLITE_BUSY: "another process holds it; try again",
}

_pictures = Table(
    "pictures",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("path", String, nullable=False),
    Column("filename", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("negative_prompt", String, nullable=False),
    Column("model", String, nullable=False),
    Column("model_key", String, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("generation_time", Float, nullable=False),
    Column("vram_used", Float, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
)
Index("pictures_by_time", _pictures.c.created_at, _pictures.c.id)
Index("pictures_by_model", _pictures.c.model_key, _pictures.c.created_at, _pictures.c.id)


class DamagedIndex(StorageError):
    """The index's file is no sound SQLite database, or holds what this never wrote."""


class IndexFull(StorageError):
    """There is no room on the disk for the change."""


def to_row(record: ImageRecord, path: str) -> dict[str, Any]:
    """A record as the table holds it. Raises `StorageError` for one that SQLite cannot hold.

    Parameters
    ----------
    path: The file's path below the gallery's folder, with `/`.
    """
    for name in ("seed", "width", "height"):
        if not -_INT64 <= getattr(record, name) < _INT64:
            raise StorageError(f"Picture {record.id}: {name} {getattr(record, name)} does not fit into 64 bits")
    for name in ("prompt", "negative_prompt", "model"):
        if any("\ud800" <= character <= "\udfff" for character in getattr(record, name)):
            raise StorageError(f"Picture {record.id}: {name} holds half of a surrogate pair; send whole characters")
    return {
        **{column.name: getattr(record, column.name, None) for column in _pictures.columns},
        "path": path,
        "model_key": canonical_id(record.model),
        "created_at": _microseconds(record.created_at),
        "parameters": dict(record.parameters),
        "facts": dict(record.facts),
    }


class PictureIndex:
    """The records of a gallery, in an SQLite file that several threads and processes may use at once.

    Use `open`. Every method raises `StorageError` that names the file and the next step.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._engine = create_engine(
            URL.create("sqlite", database=str(file)),
            connect_args={"timeout": BUSY_TIMEOUT_S},
            max_overflow=-1,  # as many connections as threads: a reader never waits for a connection
        )
        # SQLite lets waiting writers poll, and an unlucky one starves; a lock lets this process's writers queue.
        self._writing = Lock()
        event.listen(self._engine, "connect", _configure)

    @classmethod
    def open(cls, file: Path, thorough: bool = False) -> Self:
        """Open or make the index. A damaged one is set aside as `<name>.damaged`, and a fresh one takes its place.

        Parameters
        ----------
        thorough: Look at every page of the file, about a second for each million pictures. A start does without.
        """
        index = cls(file)
        try:
            index._prepare(thorough)
        except DamagedIndex:
            index.close()
            _set_aside(file)
            index = cls(file)
            index._prepare()
        return index

    def _prepare(self, thorough: bool = False) -> None:
        """Make the table where needed. Counting reads a whole index and the newest row, so damage mostly shows here."""
        with self._explained(), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            if thorough:
                found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
                if found != "ok":
                    raise DamagedIndex(f"{self.file}: {found}")
        with self._write() as connection:
            if _layout(connection) not in (0, LAYOUT):
                _pictures.drop(connection, checkfirst=True)
                connection.exec_driver_sql("PRAGMA user_version=0")
            _pictures.create(connection, checkfirst=True)
        self.count()
        self.page(1, 0, None)

    @property
    def complete(self) -> bool:
        """Whether it was ever filled to the end; a fresh one was not."""
        with self._explained(), self._engine.connect() as connection:
            return _layout(connection) == LAYOUT

    def mark_complete(self) -> None:
        """Remember that the index holds every picture there is."""
        with self._write() as connection:
            connection.exec_driver_sql(f"PRAGMA user_version={LAYOUT}")

    def put(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, in place of those of the same ids, and bring them to disk: one fsync for all of them."""
        if rows:
            with self._write() as connection:
                connection.execute(insert(_pictures).prefix_with("OR REPLACE"), list(rows))

    def remove(self, ids: Sequence[str]) -> int:
        """Delete rows; returns how many there were."""
        with self._write() as connection:
            return sum(connection.execute(delete(_pictures).where(_pictures.c.id == each)).rowcount for each in ids)

    def find(self, image_id: str) -> tuple[ImageRecord, str] | None:
        """A record and its file's path below the gallery's folder; None when there is none."""
        with self._explained(), self._engine.connect() as connection:
            row = connection.execute(select(_pictures).where(_pictures.c.id == image_id)).one_or_none()
        return None if row is None else (_to_record(row), row.path)

    def page(self, limit: int, offset: int, model: str | None) -> tuple[Sequence[ImageRecord], int]:
        """Records newest first, and how many the whole query has."""
        query, total = select(_pictures), select(func.count()).select_from(_pictures)
        if model is not None:
            query, total = (each.where(_pictures.c.model_key == canonical_id(model)) for each in (query, total))
        query = query.order_by(_pictures.c.created_at.desc(), _pictures.c.id.desc())
        with self._explained(), self._engine.connect() as connection:
            rows = connection.execute(query.limit(_clamped(limit)).offset(_clamped(offset))).all()
            return [_to_record(row) for row in rows], connection.execute(total).scalar_one()

    def ids(self) -> set[str]:
        """Every id."""
        with self._explained(), self._engine.connect() as connection:
            return set(connection.execute(select(_pictures.c.id)).scalars())

    def count(self) -> int:
        """How many records there are."""
        with self._explained(), self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(_pictures)).scalar_one()

    def close(self) -> None:
        """Close every connection; SQLite folds its log into the file with the last one."""
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._explained(), self._writing, self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = f"{self.file}: the gallery's index"
        try:
            yield
        except StatementError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # extended codes hold the plain one below
            if code in _DAMAGED:
                raise DamagedIndex(f"{where} is damaged: {error.orig}; {_REINDEX}") from error
            kind = IndexFull if code == sqlite3.SQLITE_FULL else StorageError
            step = _NEXT_STEPS.get(code, "check the disk")
            raise kind(f"{where} cannot be used: {error.orig}; {step}") from error
        except (ValueError, TypeError, OverflowError) as error:  # a cell that was read is not what its column says
            raise DamagedIndex(f"{where} is damaged: {error}; {_REINDEX}") from error


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    # FULL brings every commit to disk before it returns; WAL alone would do so only at checkpoints.
    connection.execute("PRAGMA synchronous=FULL")


def _layout(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _set_aside(file: Path) -> None:
    file.replace(file.with_name(f"{file.name}.damaged"))
    for leftover in ("-wal", "-shm"):
        file.with_name(file.name + leftover).unlink(missing_ok=True)


def _clamped(number: int) -> int:
    return min(max(number, 0), _INT64 - 1)


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _to_record(row: Row[Any]) -> ImageRecord:
    values = {name: value for name, value in row._mapping.items() if name not in ("path", "model_key")}
    return ImageRecord(**{**values, "created_at": _EPOCH + timedelta(microseconds=row.created_at)})

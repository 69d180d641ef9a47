"""The index: an SQLite database with every field of every record.

Everything in it also stands in the pictures' files and beside them, so an index that is damaged, missing or of another
layout is thrown away and filled again; there are no migrations.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, bindparam, create_engine, delete, event, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import StatementError
from visioncraft import GalleryQuery, ImageRecord, Marks, Page, StorageError

from visioncraft_gallery_fs.index import query as sql, schema
from visioncraft_gallery_fs.index.keys import give_keys
from visioncraft_gallery_fs.index.prefetch import Prefetch
from visioncraft_gallery_fs.index.prepared import Prepared
from visioncraft_gallery_fs.index.rows import ENTRY, WHOLE, Entry, marks_row, to_record
from visioncraft_gallery_fs.index.schema import LAYOUT, counts, pictures, traits

BUSY_TIMEOUT_S = 10.0
_KEPT = 3
_CACHE_KIB = 16 * 1024
"""Each connection that is kept may remember so much: what combined filters look at of a million pictures."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REINDEX = "stop the server and run 'visioncraft gallery reindex'"
_NEXT_STEPS = {
    sqlite3.SQLITE_FULL: "free some space there",
    sqlite3.SQLITE_READONLY: "give this user write permission",
    sqlite3.SQLITE_BUSY: "another process holds it; try again",
}


class DamagedIndex(StorageError):
    """The index's file is no sound SQLite database, or holds what this never wrote."""


class IndexFull(StorageError):
    """There is no room on the disk for the change."""


class PictureIndex:
    """The records of a gallery, in an SQLite file that several threads and processes may use at once.

    Use `open_index`. Every method raises `StorageError` that names the file and the next step.

    Args:
        file: The database, which must be there: a connection must not make an empty one in place of one that is
            deleted.
        unchanging: Nobody can change it, so nothing is locked and nothing is written beside it.
    """

    def __init__(self, file: Path, unchanging: bool = False) -> None:
        self.file = file
        mode = {"mode": "ro", "immutable": "1"} if unchanging else {"mode": "rw"}
        self._engine = create_engine(
            URL.create("sqlite", database=f"file:{quote(os.fsencode(file))}", query={**mode, "uri": "true"}),
            connect_args={"timeout": BUSY_TIMEOUT_S},
            pool_size=_KEPT,
            max_overflow=-1,  # as many connections as threads: a reader never waits for a connection
            pool_use_lifo=True,  # the one whose cache was filled last
        )
        # SQLite lets waiting writers poll, and an unlucky one starves; a lock lets this process's writers queue.
        self._writing = Lock()
        self._ahead = Prefetch(file)
        event.listen(self._engine, "connect", _configure)

    def prepare(self, thorough: bool = False) -> None:
        """Make the tables where needed, and try it out; `thorough` looks for damage in every page of the file."""
        with self._reading() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            if thorough:
                found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
                if found != "ok":
                    raise DamagedIndex(f"{self.file}: {found}")
        with self._write() as connection:
            schema.migrate(connection, _layout(connection))
            schema.create(connection)
        self.try_out()

    def try_out(self) -> None:
        """Read the newest and the oldest row, so that gross damage shows here."""
        for sort in ("newest", "oldest"):
            self.page(GalleryQuery(sort=sort), 1, 0, None)

    @property
    def complete(self) -> bool:
        """Whether it was ever filled to the end; a fresh one was not."""
        with self._reading() as connection:
            return _layout(connection) == LAYOUT

    def mark_complete(self) -> None:
        """Remember that the index holds every picture there is."""
        with self._write() as connection:
            connection.exec_driver_sql(f"PRAGMA user_version={LAYOUT}")

    def put(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, in place of those of the same ids, and bring them to disk: one fsync for all of them.

        A hash that is None leaves the one that is there.
        """
        if rows:
            with self._write() as connection:
                connection.execute(_UPSERT, give_keys(connection, rows))

    def remove(self, ids: Sequence[str]) -> list[str]:
        """Delete rows, all or none; returns the ids of those there were."""
        with self._write() as connection:
            return [each for each in ids if connection.execute(delete(pictures).where(pictures.c.id == each)).rowcount]

    def mark(self, image_id: str, marks: Marks) -> bool:
        """Change a picture's marks; returns whether there is such a picture."""
        with self._write() as connection:
            changed = update(pictures).where(pictures.c.id == image_id).values(marks_row(marks))
            return bool(connection.execute(changed).rowcount)

    def note_hashes(self, hashes: dict[str, tuple[str, int]]) -> None:
        """Write down SHA-256 and size of files, by the pictures' ids."""
        with self._write() as connection:
            for image_id, (digest, size) in hashes.items():
                found = update(pictures).where(pictures.c.id == image_id)
                connection.execute(found.values(sha256=digest, bytes=size))

    def find(self, image_id: str) -> tuple[ImageRecord, str] | None:
        """A record and its file's path below the gallery's folder; None when there is none."""
        with self._reading() as connection:
            row = _ONE.run(connection, {"image_id": image_id}).one_or_none()
            return None if row is None else (to_record(row), row.path)

    def entry(self, image_id: str) -> Entry | None:
        """Path, size and hash of a picture; None when there is none."""
        with self._reading() as connection:
            row = connection.execute(ENTRY.where(pictures.c.id == image_id)).one_or_none()
            return None if row is None else Entry(*row)

    def imported_from(self, sha256: str) -> str | None:
        """The id of the picture that was imported from a file with this hash."""
        with self._reading() as connection:
            return connection.execute(select(pictures.c.id).where(pictures.c.origin == sha256).limit(1)).scalar()

    def page(self, query: GalleryQuery, limit: int, offset: int, cursor: str | None) -> Page:
        """A page of what the query finds. Raises `InvalidRequest` for a cursor that is none of this query's."""
        asked = sql.values_of(query)
        search = sql.search_for(frozenset(asked), query.sort)
        values = asked | sql.page_values(query, limit, offset, cursor)
        with self._reading() as connection:
            numbers = search.numbers.run(connection, values).one()
            if 0 in numbers:
                return Page([], 0)
            plan = search.plan(numbers)
            rows = (plan.first if cursor is None else plan.after).run(connection, values).all() if limit > 0 else []
            shown = rows[:limit]
            seen = len(shown) + (offset if cursor is None and shown else 0)
            total, exact = (numbers[0], True) if search.counted else _bounded(connection, plan, values, seen)
            last = shown[-1] if len(rows) > limit else None
            next_cursor = None if last is None else sql.cursor_after(query, last.key, last.rating)
            return Page([to_record(row) for row in shown], total, next_cursor, exact)

    def entries(self, after: int | None = None, limit: int = 1000) -> Sequence[Entry]:
        """Pictures in the order of time, the oldest first, from behind the key `after`."""
        found = ENTRY.order_by(pictures.c.key).limit(limit)
        with self._reading() as connection:
            rows = connection.execute(found if after is None else found.where(pictures.c.key > after))
            return [Entry(*row) for row in rows]

    def oldest(self, before: int | None, limit: int) -> Sequence[Entry]:
        """The oldest pictures that nobody starred, made before the key `before` where there is one."""
        keys = select(traits.c.key).where(traits.c.favourite.is_(False)).order_by(traits.c.key).limit(limit)
        if before is not None:
            keys = keys.where(traits.c.key < before)
        with self._reading() as connection:
            rows = connection.execute(ENTRY.where(pictures.c.key.in_(keys)).order_by(pictures.c.key))
            return [Entry(*row) for row in rows]

    def paths(self) -> dict[str, str]:
        """Every picture's path below the gallery's folder, by its id."""
        with self._reading() as connection:
            return {row.id: row.path for row in connection.execute(select(pictures.c.id, pictures.c.path))}

    def count(self) -> int:
        """How many records there are, as triggers counted."""
        return self._sum("all")

    def size(self) -> int:
        """Bytes that all pictures' files take together."""
        return self._sum("bytes")

    def damage(self) -> list[str]:
        """What SQLite's own integrity check finds; empty where all is well."""
        with self._reading() as connection:
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
            return [] if found == ["ok"] else found

    def read_ahead(self) -> None:
        """Have the file read into the system's cache meanwhile."""
        self._ahead.start()

    def close(self) -> None:
        """Close every connection; SQLite folds its log into the file with the last one."""
        self._ahead.stop()
        self._engine.dispose()

    def _sum(self, facet: str) -> int:
        with self._reading() as connection:
            kept = select(func.coalesce(func.sum(counts.c.n), 0)).where(counts.c.facet == facet)
            return int(connection.execute(kept).scalar_one())

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._explained(), self._writing, self._engine.begin() as connection:
            # At once: a transaction that reads first and then finds another writer ahead of it cannot wait.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = f"{self.file}: the gallery's index"
        try:
            yield
        except StatementError as error:
            extended, said = getattr(error.orig, "sqlite_errorcode", 0), str(error.orig)
            if extended == sqlite3.SQLITE_IOERR_SHMSIZE:  # of the memory that connections share, which is a file too
                extended, said = sqlite3.SQLITE_FULL, "the disk is full"
            code = extended & 0xFF
            if code in _DAMAGED:
                raise DamagedIndex(f"{where} is damaged: {said}; {_REINDEX}") from error
            kind = IndexFull if code == sqlite3.SQLITE_FULL else StorageError
            step = _NEXT_STEPS.get(code, "check the disk")
            raise kind(f"{where} cannot be used: {said}; {step}") from error
        except (ValueError, TypeError, OverflowError) as error:  # a cell that was read is not what its column says
            raise DamagedIndex(f"{where} is damaged: {error}; {_REINDEX}") from error


def _upsert() -> Any:
    added = insert(pictures)
    changed: dict[str, Any] = {
        column.name: added.excluded[column.name] for column in pictures.columns if column.name != "id"
    }
    changed["sha256"] = func.coalesce(added.excluded.sha256, pictures.c.sha256)
    return added.on_conflict_do_update(index_elements=["id"], set_=changed)


_UPSERT = _upsert()
_ONE = Prepared(WHOLE.where(pictures.c.id == bindparam("image_id")))


def _bounded(connection: Connection, plan: sql.Plan, values: dict[str, Any], seen: int) -> tuple[int, bool]:
    """How many there are, and whether that is exact; as many as were `seen` at least."""
    looked_at, found = plan.bounded_count.run(connection, values | {"look_at": sql.LOOKED_AT_MOST + 1}).one()
    exact = looked_at <= sql.LOOKED_AT_MOST and found <= sql.COUNT_AT_MOST
    return found if exact else max(min(found, sql.COUNT_AT_MOST), seen), exact


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    # FULL brings every commit to disk before it returns; WAL alone would do so only at checkpoints.
    connection.execute("PRAGMA synchronous=FULL")


def _layout(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())

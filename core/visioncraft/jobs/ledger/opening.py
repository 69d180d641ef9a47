"""Opening the ledger's file, or what takes its place where that is damaged or its disk takes nothing."""

from __future__ import annotations

import errno
import logging
import sqlite3
from concurrent.futures import Executor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import SingletonThreadPool

from visioncraft.errors import ConfigurationError
from visioncraft.jobs.ledger.locking import FolderLock, InUse
from visioncraft.jobs.ledger.salvage import connect_to_look, salvaged, set_file_aside, text_of
from visioncraft.jobs.ledger.tables import VERSION, jobs, metadata

log = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_NO_PERMISSION = {errno.EACCES, errno.EPERM}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_ELSEWHERE = "move it away, or choose another data_dir"
_LOOKED_THROUGH = 64 * 2**20
"""Bytes up to which a start looks at every page, a quarter of a second; what is damaged further on shows when read."""


class Damaged(Exception):
    """The file is no whole database; says why."""


def opened(file: Path | None, thread: Executor) -> tuple[FolderLock | None, Engine, str | None]:
    """The lock on a ledger, the database, and why no job can be accepted in it, None where it takes them.

    Args:
        file: None for a ledger in memory.
        thread: The only one that uses the database.

    A damaged file is set aside under another name, and the jobs that can be read in it go into a new one. On a disk
    that is full or cannot be written a server has pictures to show all the same: a ledger on a full one is opened, and
    takes jobs as soon as there is room; otherwise an empty one in memory takes its place.

    Raises `ConfigurationError` where another server has the file, it is none of ours, or it cannot be opened for any
    other reason.
    """
    lock = None
    try:
        lock = _locked(file) if file else None
        return lock, _whole_engine(file, thread), None
    except (SQLAlchemyError, OSError) as error:
        if file is None or not _takes_nothing(error, file):
            _release(lock)
            raise ConfigurationError(f"{file} cannot be opened: {reason(error)}; move it away to start anew") from error
        said = f"{file} cannot be written: {reason(error)}; see to the disk"
    except BaseException:
        _release(lock)
        raise
    log.warning("%s. Until then no job is accepted", said)
    if lock is not None:
        with suppress(SQLAlchemyError, OSError):
            return lock, _engine(file, thread, alone=True), None
    return lock, _engine(None, thread), f"{said}, and start the server again"


def reason(error: Exception) -> str:
    """What the database or the system said, in one line."""
    said = error.strerror if isinstance(error, OSError) else getattr(error, "orig", None)
    return " ".join(str(said or error).split())


def _locked(file: Path) -> FolderLock:
    try:
        return FolderLock(file)
    except InUse:
        raise ConfigurationError(
            f"another server uses {file.parent}: end it, or give this one a data_dir of its own"
        ) from None
    except OSError as error:
        if file.parent.is_dir() and _takes_nothing(error, file):
            raise
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}; choose another data_dir") from error


def _release(lock: FolderLock | None) -> None:
    if lock is not None:
        lock.release()


def _whole_engine(file: Path | None, thread: Executor) -> Engine:
    """The database; where the file is damaged, a new one with what could be read of it."""
    if file is not None and file.exists() and not file.is_file():
        raise ConfigurationError(f"{file}: is no ordinary file; move it away")
    try:
        if file is not None:
            _look_at(file)
        return _engine(file, thread)
    except (SQLAlchemyError, Damaged) as error:
        if file is None or not (isinstance(error, Damaged) or _code(error) in _DAMAGED):
            raise
        aside = set_file_aside(file)
        rows = salvaged(aside)
        said = "%s is damaged (%s): it is kept as %s, and the %d jobs that can be read in it are taken over"
        log.error(said, file, reason(error), aside.name, len(rows))
    engine = _engine(file, thread)
    thread.submit(_take_over, engine, rows).result()
    return engine


def _look_at(file: Path) -> None:
    """Look at a ledger without changing it.

    Raises `ConfigurationError` for a database that is none of this version's, `Damaged` for one that is not whole.
    """
    if not file.exists() or not file.stat().st_size:
        log_left = file.with_name(f"{file.name}-wal")
        if log_left.exists() and log_left.stat().st_size:  # SQLite would remove it
            raise Damaged("the file is empty, its log is not")
        return
    try:
        with closing(connect_to_look(file)) as connection:
            _refuse_others(file, connection)
            if file.stat().st_size <= _LOOKED_THROUGH:
                ((found, *_),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
                if found != "ok":
                    raise Damaged(" ".join(str(found).split()))
    except sqlite3.Error as error:  # any other failure shows when it is opened
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            raise Damaged(str(error)) from error


def _refuse_others(file: Path, connection: sqlite3.Connection) -> None:
    """Raise `ConfigurationError` for a database of somebody else's, or of a later version's."""
    tables = sorted(str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
    if tables and jobs.name not in tables:
        raise ConfigurationError(
            f"{file}: is no ledger of VisionCraft's, it has the tables {', '.join(tables[:5])}; {_ELSEWHERE}"
        )
    there = {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
    foreign = [column.name for column in jobs.columns if not (column.nullable or column.name in there)]
    if tables and foreign:
        raise ConfigurationError(
            f"{file}: is no ledger of VisionCraft's: its table 'jobs' has no {', '.join(foreign)}; {_ELSEWHERE}"
        )
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if version > VERSION:
        raise ConfigurationError(
            f"{file}: a later VisionCraft wrote it (its layout is {version}, this one knows {VERSION}); use that one, "
            "or choose another data_dir"
        )


def _engine(file: Path | None, thread: Executor, alone: bool = False) -> Engine:
    """The database with its tables.

    Args:
        alone: Nobody else may look into the file. SQLite then needs no memory that connections share, which is a file
            too.
    """
    database = URL.create("sqlite", database=str(file) if file else ":memory:")
    engine = create_engine(database, poolclass=SingletonThreadPool)
    event.listen(engine, "connect", _configure_alone if alone else _configure)
    try:
        thread.submit(_create, engine, file).result()
    except BaseException:
        thread.submit(engine.dispose).result()
        raise
    return engine


def _create(engine: Engine, file: Path | None) -> None:
    if file is not None:
        file.touch(mode=0o600)
    with engine.begin() as connection:
        metadata.create_all(connection)
        _add_columns(connection)
        if connection.exec_driver_sql("PRAGMA user_version").scalar_one() != VERSION:
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


def _add_columns(connection: Connection) -> None:
    """Add what earlier versions did not write."""
    there = {row.name for row in connection.exec_driver_sql("PRAGMA table_info(jobs)")}
    for column in jobs.columns:
        if column.name not in there:
            kind = column.type.compile(connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN {column.name} {kind}")


def _take_over(engine: Engine, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        for row in rows:
            names = ", ".join(row)
            values = ", ".join("?" * len(row))
            statement = f"INSERT OR IGNORE INTO jobs ({names}) VALUES ({values})"  # noqa: S608 - names are ours
            connection.exec_driver_sql(statement, tuple(row.values()))


def _code(error: Exception) -> int:
    return int(getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)) & 0xFF


def _takes_nothing(error: Exception, file: Path) -> bool:
    """Whether the disk is full or may not be written, as against a file that is damaged or none of ours."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM or (error.errno in _NO_PERMISSION and file.exists())
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code == sqlite3.SQLITE_IOERR_SHMSIZE or code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)


def _configure(connection: Any, _record: object) -> None:
    connection.text_factory = text_of
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # committed is on disk


def _configure_alone(connection: Any, record: object) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    _configure(connection, record)

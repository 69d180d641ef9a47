"""Opening the ledger's file, or what takes its place on a disk that takes nothing."""

from __future__ import annotations

import errno
import logging
import sqlite3
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import SingletonThreadPool

from visioncraft.errors import ConfigurationError
from visioncraft.jobs.tables import VERSION, metadata

log = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_NO_PERMISSION = {errno.EACCES, errno.EPERM}


def opened(file: Path | None, thread: Executor) -> tuple[FileLock | None, Engine, str | None]:
    """The lock on a ledger, the database, and why no job can be accepted in it, None where it takes them.

    Parameters
    ----------
    file: None for a ledger in memory.
    thread: The only one that uses the database.

    On a disk that is full or cannot be written a server has pictures to show all the same. A ledger on a full one is
    opened, and takes jobs as soon as there is room; otherwise an empty one in memory takes its place.

    Raises `ConfigurationError` where another server has the file, or it cannot be opened for any other reason.
    """
    lock = None
    try:
        lock = _locked(file) if file else None
        return lock, _engine(file, thread), None
    except (SQLAlchemyError, OSError) as error:
        if file is None or not _takes_nothing(error, file):
            raise ConfigurationError(f"{file} cannot be opened: {reason(error)}; move it away to start anew") from error
        said = f"{file} cannot be written: {reason(error)}; see to the disk"
    log.warning("%s. Until then no job is accepted", said)
    if lock is not None:
        with suppress(SQLAlchemyError, OSError):
            return lock, _engine(file, thread, alone=True), None
    return lock, _engine(None, thread), f"{said}, and start the server again"


def reason(error: Exception) -> str:
    """What the database or the system said, in one line."""
    said = error.strerror if isinstance(error, OSError) else getattr(error, "orig", None)
    return " ".join(str(said or error).split())


def _locked(file: Path) -> FileLock:
    lock = FileLock(f"{file}.lock", timeout=0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ConfigurationError(
            f"another server uses {file.parent}: end it, or give this one a data_dir of its own"
        ) from None
    except OSError as error:
        if file.parent.is_dir() and _takes_nothing(error, file):
            raise
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}; choose another data_dir") from error
    return lock


def _engine(file: Path | None, thread: Executor, alone: bool = False) -> Engine:
    """The database with its tables.

    Parameters
    ----------
    alone: Nobody else may look into the file. SQLite then needs no memory that connections share, which is a file too.
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
        if "warnings" not in {row.name for row in connection.exec_driver_sql("PRAGMA table_info(jobs)")}:
            connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN warnings BLOB")
        if connection.exec_driver_sql("PRAGMA user_version").scalar_one() != VERSION:
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


def _takes_nothing(error: Exception, file: Path) -> bool:
    """Whether the disk is full or may not be written, as against a file that is damaged or none of ours."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM or (error.errno in _NO_PERMISSION and file.exists())
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code == sqlite3.SQLITE_IOERR_SHMSIZE or code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)


def _configure(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # committed is on disk


def _configure_alone(connection: Any, record: object) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    _configure(connection, record)

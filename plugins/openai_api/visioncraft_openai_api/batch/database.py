"""Where files and batches are written down: one SQLite file, used in one thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from visioncraft import StorageUnavailable

T = TypeVar("T")

_VERSION = 1
"""Of this layout, in `PRAGMA user_version`."""

_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    purpose TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    owner TEXT NOT NULL,
    hidden INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    input_file_id TEXT NOT NULL,
    completion_window TEXT NOT NULL,
    metadata TEXT NOT NULL,
    output_expires_s INTEGER,
    caller TEXT NOT NULL,
    owner TEXT NOT NULL,
    identity TEXT,
    origin TEXT NOT NULL,
    output_file_id TEXT NOT NULL,
    error_file_id TEXT NOT NULL,
    output_bytes INTEGER NOT NULL DEFAULT 0,
    error_bytes INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    model TEXT,
    errors TEXT NOT NULL DEFAULT '[]',
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    in_progress_at INTEGER,
    finalizing_at INTEGER,
    completed_at INTEGER,
    failed_at INTEGER,
    expired_at INTEGER,
    cancelling_at INTEGER,
    cancelled_at INTEGER
);
CREATE INDEX IF NOT EXISTS batches_by_status ON batches (status);
CREATE TABLE IF NOT EXISTS lines (
    batch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    model TEXT NOT NULL,
    offset INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    job TEXT,
    sent_at REAL,
    PRIMARY KEY (batch, number)
) WITHOUT ROWID;
"""


class Database:
    """Files, batches and the lines of those that have not ended.

    Args:
        file: The SQLite file. It is opened when it is first used: a server whose disk takes nothing starts all the
            same, and only files and batches are refused until the disk is mended.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None
        # One connection in one thread: nothing in here ever waits for a lock of SQLite's.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def exists(self) -> bool:
        """Whether anything was ever written down."""
        return self._file.exists()

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction, which is on disk when this returns.

        Args:
            work: Gets the connection, whose rows have names; what it raises undoes all that it did.

        Raises:
            StorageUnavailable: The file cannot be read or written.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._done, work)

    async def close(self) -> None:
        """Do what waits, and let the file go."""
        self._thread.submit(self._closed)
        await asyncio.to_thread(self._thread.shutdown)

    def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connection = self._connection or self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = work(connection)
                connection.execute("COMMIT")
                return answer
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            said = f"Files and batches cannot be kept: {error}; see to the disk of {self._file}"
            raise StorageUnavailable(said) from error

    def _closed(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file.touch(mode=0o600)
        connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # committed is on disk
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        if version > _VERSION:
            said = f"a later visioncraft-openai-api wrote it (layout {version}, this one knows {_VERSION}); use that"
            raise sqlite3.DatabaseError(said)
        connection.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
        return connection

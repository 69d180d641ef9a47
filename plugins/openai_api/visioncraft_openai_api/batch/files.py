"""Files that clients sent and that batches wrote: their bytes in a folder, what is known of them in the database."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from visioncraft import InvalidRequest, NotFound, StorageUnavailable

from visioncraft_openai_api.batch.database import Database
from visioncraft_openai_api.batch.ids import is_file_id, new_file_id
from visioncraft_openai_api.batch.owners import only_of, owner_now

_KNOWN = "hidden = 0 AND (expires_at IS NULL OR expires_at > :now)"
_SEEN = "(:owner IS NULL OR owner = :owner)"
_USED = "SELECT input_file_id FROM batches WHERE status IN ('validating', 'in_progress', 'cancelling', 'finalizing')"
_WRITTEN = "SELECT {0} FROM batches WHERE status IN ('validating', 'in_progress', 'cancelling', 'finalizing')"

_COLUMNS = ("id", "purpose", "filename", "bytes", "created_at", "expires_at", "owner")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file.

    Args:
        id: `file-` and 24 hexadecimal digits; its name in the folder.
        purpose: What it was sent for, or `batch_output`.
        filename: What its sender calls it. Nothing here does.
        bytes: Its size.
        created_at: When it came, in seconds since 1970.
        expires_at: When it goes; None for never.
        owner: Whose it is, where people have keys of their own.
    """

    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None
    owner: str

    def document(self) -> dict[str, object]:
        """The file as the protocol has it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """All files.

    Args:
        database: Knows them.
        folder: Has their bytes, each under its id.
        most_bytes: What those that were sent may take together.
    """

    def __init__(self, database: Database, folder: Path, most_bytes: int) -> None:
        self._database, self._folder, self._most_bytes = database, folder, most_bytes

    @property
    def arriving(self) -> Path:
        """The folder of those that are still being received."""
        return self._folder / "arriving"

    def path(self, file_id: str) -> Path:
        """Where a file's bytes are. Raises `NotFound` for what is no file's id."""
        if not is_file_id(file_id):
            raise _no_file(file_id)
        return self._folder / file_id

    def make_folders(self) -> None:
        """Make the folders, for this user alone. Raises `OSError`."""
        self._folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder.parent, self._folder, self.arriving):
            folder.mkdir(mode=0o700, exist_ok=True)

    async def add(self, received: Path, purpose: str, filename: str, lifetime_s: int | None) -> StoredFile:
        """Keep a file that was received.

        Args:
            received: Where it is, whole and on disk; it is gone from there when this returns.
            purpose: What it was sent for.
            filename: What its sender calls it.
            lifetime_s: For how long it is kept, in seconds; None for ever.

        Raises:
            InvalidRequest: All files together would take too much.
            StorageUnavailable: Nothing can be kept now.
        """
        now = int(time.time())
        size = (await asyncio.to_thread(received.stat)).st_size
        expires = None if lifetime_s is None else now + lifetime_s
        file = StoredFile(new_file_id(), purpose, filename, size, now, expires, owner_now())
        await asyncio.to_thread(self._rename, received, file.id)
        try:
            await self._database.do(lambda connection: self._insert_bounded(connection, file))
        except BaseException:
            await asyncio.to_thread(self._remove, [file.id])
            raise
        return file

    async def get(self, file_id: str) -> StoredFile:
        """A file. Raises `NotFound`."""
        query = f"SELECT * FROM files WHERE id = :id AND {_KNOWN} AND {_SEEN}"  # noqa: S608 - no part is a client's
        values = {"id": file_id, "now": time.time(), "owner": only_of()}
        row = await self._database.do(lambda connection: connection.execute(query, values).fetchone())
        if row is None:
            raise _no_file(file_id)
        return _file_of(row)

    async def page(self, after: str | None, limit: int, newest_first: bool, purpose: str | None) -> list[StoredFile]:
        """Some files in the order of their coming.

        Args:
            after: The id of the file before the first one of this page; None for the first page.
            limit: How many.
            newest_first: Whether the newest comes first.
            purpose: Only those that were sent for it; None for all.

        Raises:
            InvalidRequest: There is no such file to begin after.
        """
        owner = only_of()

        def found(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            at = _place(connection, after, newest_first)
            query = f"SELECT * FROM files WHERE {_KNOWN} AND {_SEEN}"  # noqa: S608 - as in `get`
            query += f" AND number {'<' if newest_first else '>'} :at"
            query += " AND purpose = :purpose" if purpose is not None else ""
            query += f" ORDER BY number {'DESC' if newest_first else 'ASC'} LIMIT :limit"
            values = {"now": time.time(), "owner": owner, "at": at, "purpose": purpose, "limit": limit}
            return connection.execute(query, values).fetchall()

        return [_file_of(row) for row in await self._database.do(found)]

    async def delete(self, file_id: str) -> None:
        """Forget a file; its bytes stay until the batches that read them have ended. Raises `NotFound`."""
        await self.get(file_id)

        def hide(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE files SET hidden = 1 WHERE id = ?", (file_id,))

        await self._database.do(hide)
        await self.sweep()

    async def sweep(self) -> None:
        """Remove the files that were deleted or have expired, and that no batch reads any more."""

        def forget(connection: sqlite3.Connection) -> list[str]:
            query = f"SELECT id FROM files WHERE NOT ({_KNOWN}) AND id NOT IN ({_USED})"  # noqa: S608
            gone = [row["id"] for row in connection.execute(query, {"now": time.time()})]
            connection.executemany("DELETE FROM files WHERE id = ?", [(each,) for each in gone])
            return gone

        gone = await self._database.do(forget)
        await asyncio.to_thread(self._remove, gone)

    async def remove_strays(self) -> None:
        """Remove what a killed server left half received or half removed; for a start."""
        queries = ["SELECT id FROM files", *(_WRITTEN.format(name) for name in ("output_file_id", "error_file_id"))]

        def known(connection: sqlite3.Connection) -> set[str]:
            return {row[0] for query in queries for row in connection.execute(query)}

        kept = await self._database.do(known)
        await asyncio.to_thread(self._remove_others, kept)

    def _insert_bounded(self, connection: sqlite3.Connection, file: StoredFile) -> None:
        query = "SELECT COALESCE(SUM(bytes), 0) FROM files WHERE purpose != 'batch_output'"
        ((taken,),) = connection.execute(query).fetchall()
        if taken + file.bytes > self._most_bytes:
            issue = f"all files together may take {self._most_bytes} bytes and take {taken} already; delete some"
            raise InvalidRequest.of("file", issue)
        insert_file(connection, file)

    def _rename(self, received: Path, file_id: str) -> None:
        try:
            received.rename(self.path(file_id))
            sync_folder(self._folder)
        except OSError as error:
            raise StorageUnavailable(f"The file cannot be kept: {error.strerror}; see to {self._folder}") from error

    def _remove(self, file_ids: Sequence[str]) -> None:
        for file_id in file_ids:
            self.path(file_id).unlink(missing_ok=True)

    def _remove_others(self, kept: set[str]) -> None:
        for path in [*self._folder.iterdir(), *self.arriving.iterdir()]:
            if path.is_file() and path.name not in kept:
                path.unlink(missing_ok=True)


def insert_file(connection: sqlite3.Connection, file: StoredFile) -> None:
    """Write a file down whose bytes are there.

    Args:
        connection: In a transaction.
        file: The file.
    """
    connection.execute(
        f"INSERT INTO files ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",  # noqa: S608
        tuple(getattr(file, name) for name in _COLUMNS),
    )


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(connection: sqlite3.Connection, after: str | None, newest_first: bool) -> int:
    """The number that a page begins behind."""
    if after is None:
        return 2**62 if newest_first else 0
    row = connection.execute("SELECT number FROM files WHERE id = ?", (after,)).fetchone()
    if row is None:
        raise InvalidRequest.of("after", "the id of a file of the page before")
    return int(row["number"])


def _file_of(row: sqlite3.Row) -> StoredFile:
    return StoredFile(**{name: row[name] for name in _COLUMNS})


def _no_file(file_id: str) -> NotFound:
    return NotFound(f"No file '{file_id[:64]}'")

"""A ledger that is damaged as a whole: set aside for people, and read as far as it can be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from visioncraft.jobs.ledger.tables import jobs


def set_file_aside(file: Path) -> Path:
    """Give a ledger and its log another name; answers it. Raises `OSError`."""
    aside = file.with_name(f"{file.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
    for ending in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            file.with_name(file.name + ending).rename(aside.with_name(aside.name + ending))
    return aside


def salvaged(file: Path) -> list[dict[str, Any]]:
    """The rows of jobs that can be read from the first one to the damage, and from the last one back to it."""
    found: dict[int, dict[str, Any]] = {}
    if not file.exists() or not file.stat().st_size:  # SQLite would remove its log
        return []
    with suppress(sqlite3.Error), closing(connect_to_look(file)) as connection:
        for order in ("ASC", "DESC"):
            with suppress(sqlite3.Error):
                for number, row in _rows(connection, order):
                    found[number] = row
    return [found[number] for number in sorted(found)]


def connect_to_look(file: Path) -> sqlite3.Connection:
    """A connection that changes nothing. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    connection.text_factory = text_of
    return connection


def text_of(data: bytes) -> str | bytes:
    """A text that SQLite holds; a damaged one as its bytes, as it must not keep the rows beside it from being read."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _rows(connection: sqlite3.Connection, order: str) -> Iterator[tuple[int, dict[str, Any]]]:
    there = {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
    names = [column.name for column in jobs.columns if column.name in there]
    query = f"SELECT rowid, {', '.join(names)} FROM jobs NOT INDEXED ORDER BY rowid {order}"  # noqa: S608 - names are ours
    for number, *values in connection.execute(query):
        yield number, dict(zip(names, values, strict=True))

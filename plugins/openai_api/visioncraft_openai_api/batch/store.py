"""Batches and their lines in the database: where each stands, whatever is killed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from visioncraft import InvalidRequest, NotFound

from visioncraft_openai_api.batch.batches import UNFINISHED, Batch, Status, batch_of
from visioncraft_openai_api.batch.database import Database
from visioncraft_openai_api.batch.files import StoredFile, insert_file
from visioncraft_openai_api.batch.lines import BadLine, Line
from visioncraft_openai_api.batch.owners import only_of

_WAITS, _SENT, _ENDED = 0, 1, 2
"""States of a line: nobody has asked for it, a job draws it, its answer is in one of the files."""

_SEEN = "(? IS NULL OR owner = ?)"
_MOST_ERRORS = 100  # that a batch tells of; all are in its error file


class Batches:
    """All batches, and the lines of those that have not ended.

    Args:
        database: Keeps them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, facts: Mapping[str, Any]) -> Batch:
        """Accept a batch: when this returns, it survives a crash.

        Args:
            facts: What `Batch` has, as far as it is known.
        """
        row = {**facts, "status": Status.VALIDATING, "metadata": orjson.dumps(facts["metadata"]).decode()}
        names = ", ".join(row)
        insert = f"INSERT INTO batches ({names}) VALUES ({', '.join(f':{name}' for name in row)})"  # noqa: S608
        await self._database.do(lambda connection: connection.execute(insert, row).rowcount)
        return await self.get(facts["id"])

    async def get(self, batch_id: str) -> Batch:
        """A batch. Raises `NotFound`."""
        found = await self._found(f"WHERE id = ? AND {_SEEN}", batch_id, *_whose())
        if not found:
            raise NotFound(f"No batch '{batch_id[:64]}'")
        return found[0]

    async def page(self, after: str | None, limit: int) -> list[Batch]:
        """Some batches, the newest first.

        Args:
            after: The id of the batch before the first one of this page; None for the first page.
            limit: How many.

        Raises:
            InvalidRequest: There is no such batch to begin after.
        """
        try:
            at = (await self.get(after)).number if after is not None else 2**62
        except NotFound:
            issue = "the id of a batch of the page before"
            raise InvalidRequest.of("after", issue) from None
        return await self._found(f"WHERE number < ? AND {_SEEN} ORDER BY number DESC LIMIT ?", at, *_whose(), limit)

    async def unfinished(self) -> list[Batch]:
        """The batches that go on, the oldest first."""
        states = ", ".join(f"'{state}'" for state in UNFINISHED)
        return await self._found(f"WHERE status IN ({states}) ORDER BY number")

    async def begin(self, batch: Batch, lines: Sequence[Line], bad: Sequence[BadLine], error_bytes: int) -> Batch:
        """A batch has been read: it begins, unless it was cancelled meanwhile.

        Args:
            batch: The batch.
            lines: Its requests.
            bad: Lines that are none.
            error_bytes: How much of its error file tells of these.
        """
        rows = [(batch.number, each.number, each.custom_id, each.model, each.offset, each.bytes) for each in lines]
        facts: dict[str, Any] = {
            "total": len(lines) + len(bad),
            "failed": len(bad),
            "model": lines[0].model or None if lines else None,
            "errors": orjson.dumps([each.document() for each in bad[:_MOST_ERRORS]]).decode(),
            "error_bytes": error_bytes,
        }

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM lines WHERE batch = ?", (batch.number,))
            insert = "INSERT INTO lines (batch, number, custom_id, model, offset, bytes) VALUES (?, ?, ?, ?, ?, ?)"
            connection.executemany(insert, rows)
            _set(connection, batch, facts)
            _move(connection, batch, Status.IN_PROGRESS, (Status.VALIDATING,))

        await self._database.do(write)
        return await self.get(batch.id)

    async def move(self, batch: Batch, to: Status, since: Sequence[Status]) -> Batch:
        """A batch comes to stand elsewhere.

        Args:
            batch: The batch.
            to: Where.
            since: Where it has to stand for that; anywhere else it stays.

        Returns:
            The batch as it stands then.
        """
        await self._database.do(lambda connection: _move(connection, batch, to, since))
        return await self.get(batch.id)

    async def end(self, batch: Batch, to: Status, lifetime_s: int, errors: Sequence[BadLine] = ()) -> None:
        """A batch has ended: what it wrote are files now.

        Args:
            batch: The batch.
            to: How it ended.
            lifetime_s: For how long its files are kept, in seconds.
            errors: What is wrong with it; none changes nothing of what is known.
        """
        now = int(time.time())

        def write(connection: sqlite3.Connection) -> None:
            _move(connection, batch, to, tuple(UNFINISHED))
            if errors:
                _set(connection, batch, {"errors": orjson.dumps([each.document() for each in errors]).decode()})
            connection.execute("DELETE FROM lines WHERE batch = ?", (batch.number,))
            row = connection.execute("SELECT * FROM batches WHERE number = ?", (batch.number,)).fetchone()
            for kind in ("output", "error"):
                if size := row[f"{kind}_bytes"]:
                    file_id, name = row[f"{kind}_file_id"], f"{batch.id}_{kind}.jsonl"
                    insert_file(
                        connection, StoredFile(file_id, "batch_output", name, size, now, now + lifetime_s, batch.owner)
                    )

        await self._database.do(write)

    async def waiting(self, batch: Batch, after: int, limit: int) -> list[Line]:
        """Lines that nobody has asked for yet, in their order.

        Args:
            batch: Whose.
            after: The number that theirs are past.
            limit: How many.
        """
        return await self._lines(batch, "state = ? AND number > ? ORDER BY number LIMIT ?", _WAITS, after, limit)

    async def sent(self, batch: Batch) -> list[Line]:
        """Lines that jobs draw, or drew for an earlier server."""
        return await self._lines(batch, "state = ? ORDER BY number", _SENT)

    async def unanswered(self, batch: Batch) -> list[Line]:
        """Lines that are in none of the files yet."""
        return await self._lines(batch, "state != ? ORDER BY number", _ENDED)

    async def note_sent(self, batch: Batch, line: Line, job: str) -> None:
        """A job draws a line."""
        await self._change(batch, line, "state = ?, job = ?, sent_at = ?", _SENT, job, time.time())

    async def put_back(self, batch: Batch, line: Line) -> None:
        """A line is to be asked for again, as something new: what was asked for before has come to nothing."""
        await self._change(batch, line, "state = ?, job = NULL, attempt = ?", _WAITS, line.attempt + 1)

    async def note_answers(self, batch: Batch, lines: Sequence[Line], good: bool, size: int) -> None:
        """The answers to lines are in a file.

        Args:
            batch: Whose.
            lines: Which ones.
            good: Whether they are in the file of those that were drawn.
            size: How long that file is now.
        """
        names = ("completed", "output_bytes") if good else ("failed", "error_bytes")
        keys = [(_ENDED, batch.number, line.number) for line in lines]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE lines SET state = ? WHERE batch = ? AND number = ?", keys)
            change = f"UPDATE batches SET {names[0]} = {names[0]} + ?, {names[1]} = ? WHERE number = ?"  # noqa: S608
            connection.execute(change, (len(lines), size, batch.number))

        await self._database.do(write)

    async def _found(self, condition: str, *values: Any) -> list[Batch]:
        query = f"SELECT * FROM batches {condition}"  # noqa: S608 - no part of it comes from a client
        rows = await self._database.do(lambda connection: connection.execute(query, values).fetchall())
        return [batch_of(row) for row in rows]

    async def _lines(self, batch: Batch, condition: str, *values: Any) -> list[Line]:
        columns = "number, custom_id, model, offset, bytes, attempt, job, sent_at"
        query = f"SELECT {columns} FROM lines WHERE batch = ? AND {condition}"  # noqa: S608 - as in `_found`
        rows = await self._database.do(lambda connection: connection.execute(query, (batch.number, *values)).fetchall())
        return [Line(*row) for row in rows]

    async def _change(self, batch: Batch, line: Line, changes: str, *values: Any) -> None:
        change = f"UPDATE lines SET {changes} WHERE batch = ? AND number = ?"  # noqa: S608 - as in `_found`
        keys = (batch.number, line.number)
        await self._database.do(lambda connection: connection.execute(change, (*values, *keys)).rowcount)


def _whose() -> tuple[str | None, str | None]:
    """What `_SEEN` asks for."""
    owner = only_of()
    return owner, owner


def _move(connection: sqlite3.Connection, batch: Batch, to: Status, since: Sequence[Status]) -> bool:
    """Whether a batch stands elsewhere now; when it came there is written down."""
    places = ", ".join(f"'{status}'" for status in since)
    change = f"UPDATE batches SET status = ?, {to}_at = ? WHERE number = ? AND status IN ({places})"  # noqa: S608
    return connection.execute(change, (to, int(time.time()), batch.number)).rowcount > 0


def _set(connection: sqlite3.Connection, batch: Batch, facts: Mapping[str, Any]) -> None:
    if facts:
        changes = ", ".join(f"{name} = :{name}" for name in facts)
        connection.execute(f"UPDATE batches SET {changes} WHERE number = :number", {**facts, "number": batch.number})  # noqa: S608

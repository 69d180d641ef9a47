"""The keys of rows: the microsecond a picture was made in, and room behind it for others of the same one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from visioncraft_gallery_fs.index.prepared import Prepared
from visioncraft_gallery_fs.index.schema import pictures

_ROOM = 1024
"""Keys to each microsecond. 2**63 / 1024 microseconds reach to the year 2255."""


_THESE = select(func.json_each(bindparam("these")).table_valued("value").c.value)
_KNOWN = Prepared(select(pictures.c.id, pictures.c.key, pictures.c.created_at).where(pictures.c.id.in_(_THESE)))
_TAKEN = Prepared(select(pictures.c.key).where(pictures.c.key.in_(_THESE)))


def first_key(microseconds: int) -> int:
    """The least key of a picture made in this microsecond since 1970."""
    return microseconds * _ROOM


def give_keys(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each with a key that no other picture has. A picture that has a row already keeps its key.

    Call inside a write transaction. A key follows from the picture's id; where another picture has it the window
    doubles, so that a million pictures of one moment, as a copied folder has, still need few tries each.
    """
    keyed, waiting = _with_known_keys(connection, rows)
    taken = {row["key"] for row in keyed}
    attempt = 0
    while waiting:
        tried = [{**row, "key": _candidate(row, attempt)} for row in waiting]
        taken |= _taken(connection, [row["key"] for row in tried])
        waiting = []
        for row in tried:
            (waiting if row["key"] in taken else keyed).append(row)
            taken.add(row["key"])
        attempt += 1
    return keyed


def _with_known_keys(
    connection: Connection, rows: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    known = {row.id: row for row in _KNOWN.run(connection, {"these": json.dumps([row["id"] for row in rows])})}
    keyed, waiting = [], []
    for row in rows:
        before = known.get(row["id"])
        if before is not None and before.created_at == row["created_at"]:
            keyed.append({**row, "key": before.key})
        else:
            waiting.append(row)
    return keyed, waiting


def _candidate(row: dict[str, Any], attempt: int) -> int:
    place = zlib.crc32(f"{row['id']}{attempt or ''}".encode()) % (_ROOM << attempt)
    return first_key(row["created_at"]) + place


def _taken(connection: Connection, keys: list[int]) -> set[int]:
    return set(_TAKEN.run(connection, {"these": json.dumps(keys)}).scalars())

"""From records to rows and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, select
from visioncraft import ImageRecord, Marks, StorageError, canonical_id

from visioncraft_gallery_fs.keys import first_key
from visioncraft_gallery_fs.schema import pictures

INT64 = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_IN_RECORD = {"key", "path", "model_key", "generator", "bytes", "sha256", "origin"}
_MARKS = ("tags", "favourite", "rating", "notes")
_RECORD = tuple(column.name for column in pictures.columns if column.name not in {*_NOT_IN_RECORD, *_MARKS})


@dataclass(frozen=True, slots=True)
class Entry:
    """What walks through the index need to know of a picture.

    Parameters
    ----------
    key: Its place in time.
    id: Its id.
    path: Its file's path below the gallery's folder.
    size: The file's bytes.
    sha256: Of the file as it was saved, where that is known.
    """

    key: int
    id: str
    path: str
    size: int
    sha256: str | None


ENTRY = select(pictures.c.key, pictures.c.id, pictures.c.path, pictures.c.bytes, pictures.c.sha256)
"""Finds entries."""


def to_row(record: ImageRecord, path: str, size: int = 0, sha256: str | None = None) -> dict[str, Any]:
    """A record as the table holds it, but for its key. Raises `StorageError` for one that SQLite cannot hold.

    Parameters
    ----------
    path: The file's path below the gallery's folder, with `/`.
    size: The file's bytes.
    sha256: Of the file's bytes, where it is known.
    """
    _check(record)
    own = {name: getattr(record, name) for name in _RECORD}
    return {
        **own,
        **marks_row(record.marks),
        "path": path,
        "model_key": canonical_id(record.model),
        "generator": record.generator,
        "created_at": microseconds(record.created_at),
        "parameters": dict(record.parameters),
        "facts": dict(record.facts),
        "bytes": size,
        "sha256": sha256,
        "origin": origin_of(record),
    }


def marks_row(marks: Marks) -> dict[str, Any]:
    """The columns of a picture's marks."""
    return {"tags": list(marks.tags), "favourite": marks.favourite, "rating": marks.rating, "notes": marks.notes}


def to_record(row: Row[Any]) -> ImageRecord:
    """The record that a whole row holds."""
    cells = row._mapping
    values = {name: cells[name] for name in _RECORD}
    marks = Marks(tuple(row.tags), row.favourite, row.rating, row.notes)
    moment = _EPOCH + timedelta(microseconds=row.created_at)
    return ImageRecord(**{**values, "created_at": moment, "marks": marks})


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a moment without a time zone is taken for UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def origin_of(record: ImageRecord) -> str | None:
    """SHA-256 of the file that a picture was imported from; None for one that was drawn here."""
    imported = record.facts.get("imported")
    digest = imported.get("sha256") if isinstance(imported, dict) else None
    return digest if isinstance(digest, str) else None


def _check(record: ImageRecord) -> None:
    for name in ("seed", "width", "height"):
        if not -INT64 <= getattr(record, name) < INT64:
            raise StorageError(f"Picture {record.id}: {name} {getattr(record, name)} does not fit into 64 bits")
    if not -INT64 < first_key(microseconds(record.created_at)) < INT64:
        raise StorageError(f"Picture {record.id}: made in {record.created_at.year}, which no key reaches")
    for name in ("prompt", "negative_prompt", "model", "generator"):
        if any("\ud800" <= character <= "\udfff" for character in getattr(record, name)):
            raise StorageError(f"Picture {record.id}: {name} holds half of a surrogate pair; send whole characters")

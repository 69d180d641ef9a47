"""What people say of a picture: a small JSON file beside it, `<the picture's name>.json`.

Beside and not inside, because a picture's bytes never change under its id: clients keep them by their ETag, and a star
must not put two megabytes at risk. Copied with its picture it lasts as the picture does, index or no index.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from visioncraft import Marks, StorageError, tag_key

from visioncraft_gallery_fs.files import durable

_MAX_BYTES = 2**20


def sidecar(picture: Path) -> Path:
    """Where a picture's marks are."""
    return picture.with_suffix(".json")


def read_marks(picture: Path) -> Marks:
    """A picture's marks; none where nobody made any. Raises `StorageError` for a file that is not one of ours."""
    path = sidecar(picture)
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES)
    except FileNotFoundError:
        return Marks()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return _from_json(content)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(f"{path}: no tags, rating and notes inside: {error}") from error


def write_marks(picture: Path, marks: Marks) -> None:
    """Replace a picture's marks, on disk when this returns. Raises `OSError`."""
    path = sidecar(picture)
    if marks == Marks():
        path.unlink(missing_ok=True)
        durable.sync_folder(path.parent)
    else:
        durable.write_durably(path, json.dumps({"format": 1, **asdict(marks)}).encode(), replace=True)


def drop_marks(picture: Path) -> None:
    """Remove the marks of a picture that is gone."""
    with suppress(OSError):
        sidecar(picture).unlink(missing_ok=True)


def _from_json(content: bytes) -> Marks:
    values = json.loads(content)
    tags, favourite, rating, notes = (values.get(name) for name in ("tags", "favourite", "rating", "notes"))
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise ValueError("tags is no list of words")
    if not (isinstance(favourite, bool) and rating in range(6) and isinstance(notes, str)):
        raise ValueError("favourite, rating or notes is of another kind")
    return Marks(tuple(sorted({tag_key(tag) for tag in tags})), favourite, int(rating), notes)

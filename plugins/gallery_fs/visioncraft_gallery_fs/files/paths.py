"""Where a picture's file goes."""

from __future__ import annotations

from dataclasses import replace

from visioncraft import ImageRecord, StorageError, image_filename, is_image_id

from visioncraft_gallery_fs.files.durable import PICTURE_PATH


def path_for(record: ImageRecord) -> tuple[ImageRecord, str]:
    """The record under the name it will have, and its path below the root. Raises `StorageError` for a foreign id."""
    if not is_image_id(record.id):
        raise StorageError(f"Picture id {record.id!r} is none of ours; take one from new_image_id()")
    path = _dated(record.filename)
    if not PICTURE_PATH.fullmatch(path):
        record = replace(record, filename=image_filename(record.id, record.created_at))
        path = _dated(record.filename)
    return record, path


def _dated(filename: str) -> str:
    """Where a picture of this name goes: `2026/11/23/generated_image_20261123_….png`."""
    day = filename.removeprefix("generated_image_")
    return f"{day[:4]}/{day[4:6]}/{day[6:8]}/{filename}"

"""InvokeAI's way on the same rows: LIMIT and OFFSET with COUNT(*) for every page, LIKE for a search.

The table, its indexes and the two queries ask for what `get_many` asks for at commit 8e71a8a5 (6.14.0-alpha,
invokeai/app/services/image_records/image_records_sqlite.py) when its page shows the pictures that are on no board:
the join with boards, the columns, the conditions, the order. A search compares the words, in lower case, with the
whole metadata and with the date. What is not counted: the lock around it, pydantic, HTTP.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visioncraft import ImageRecord

_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE images (image_name TEXT NOT NULL PRIMARY KEY, image_origin TEXT NOT NULL, image_category TEXT NOT NULL,
  width INTEGER NOT NULL, height INTEGER NOT NULL, session_id TEXT, node_id TEXT, metadata TEXT,
  is_intermediate BOOLEAN DEFAULT FALSE, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL,
  deleted_at DATETIME, starred BOOLEAN DEFAULT FALSE, has_workflow BOOLEAN DEFAULT FALSE,
  user_id TEXT DEFAULT 'system', image_subfolder TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX idx_images_image_name ON images(image_name);
CREATE INDEX idx_images_image_origin ON images(image_origin);
CREATE INDEX idx_images_image_category ON images(image_category);
CREATE INDEX idx_images_created_at ON images(created_at);
CREATE INDEX idx_images_starred ON images(starred);
CREATE INDEX idx_images_user_id ON images(user_id);
CREATE TABLE board_images (board_id TEXT NOT NULL, image_name TEXT NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL,
  updated_at DATETIME NOT NULL, deleted_at DATETIME);
CREATE INDEX idx_board_images_board_id ON board_images (board_id);
CREATE INDEX idx_board_images_board_id_created_at ON board_images (board_id, created_at);
"""
_WRITTEN = (
    *("image_name", "image_origin", "image_category", "width", "height"),
    *("metadata", "is_intermediate", "created_at", "updated_at", "starred"),
)
_SHOWN = ", ".join(
    f"images.{name}"
    for name in (
        *("image_name", "image_origin", "image_category", "width", "height", "session_id", "node_id", "has_workflow"),
        *("is_intermediate", "created_at", "updated_at", "deleted_at", "starred", "image_subfolder"),
    )
)
_FROM = "FROM images LEFT JOIN board_images ON board_images.image_name = images.image_name WHERE 1=1"
_WHERE = "AND images.image_category IN (?) AND images.is_intermediate = ? AND board_images.board_id IS NULL"
_SEARCH = "AND (images.metadata LIKE ? OR images.created_at LIKE ?)"
_ORDER = "ORDER BY images.starred DESC, images.created_at DESC LIMIT ? OFFSET ?"


class InvokeAI:
    """Its images' table in a file of its own."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file)
        self._connection.row_factory = sqlite3.Row

    def create(self) -> None:
        """Make the tables."""
        self._connection.executescript(_SCHEMA)

    def add(self, records: Sequence[ImageRecord]) -> None:
        """Write the same pictures, on no board."""
        columns, marks = ", ".join(_WRITTEN), ", ".join("?" * len(_WRITTEN))
        self._connection.executemany(f"INSERT INTO images ({columns}) VALUES ({marks})", map(_row, records))  # noqa: S608
        self._connection.commit()

    def page(self, limit: int, offset: int, search: str = "") -> int:
        """A page and the count of all; answers how many it shows."""
        where = f"{_FROM} {_WHERE}"
        values: list[object] = ["general", False]
        if search:
            where, values = f"{where} {_SEARCH}", [*values, *[f"%{search.lower()}%"] * 2]
        rows = self._connection.execute(f"SELECT {_SHOWN} {where} {_ORDER}", (*values, limit, offset)).fetchall()
        self._connection.execute(f"SELECT COUNT(*) {where}", values).fetchone()
        return len([dict(row) for row in rows])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _row(record: ImageRecord) -> tuple[Any, ...]:
    metadata = {"positive_prompt": record.prompt, "negative_prompt": record.negative_prompt, "seed": record.seed}
    metadata |= {"model": {"name": record.model}, "steps": 20, "cfg_scale": 7.5, "scheduler": "euler_a"}
    moment = f"{record.created_at:%Y-%m-%d %H:%M:%S}.000"
    described = (record.width, record.height, json.dumps(metadata), False, moment, moment)
    return (record.filename, "internal", "general", *described, record.marks.favourite)

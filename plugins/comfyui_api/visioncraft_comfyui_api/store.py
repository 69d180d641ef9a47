"""What outlives the server: prompts with their graphs, the names of their files, and uploaded images."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from visioncraft_comfyui_api.prompts import Prompt

_SCHEMA = """
create table if not exists prompts(
    id text primary key, number integer not null, ended real, facts text not null, document text not null);
create index if not exists prompts_ended on prompts(ended);
create table if not exists files(
    kind text not null, subfolder text not null, name text not null, image_id text not null,
    primary key (kind, subfolder, name)) without rowid;
create table if not exists uploads(
    kind text not null, subfolder text not null, name text not null, digest text not null, mask text not null,
    size integer not null, used real not null, primary key (kind, subfolder, name)) without rowid;
"""
_NAMES = {each.name for each in fields(Prompt)}


class Store:
    """A SQLite file of the plugin's own. Its methods are called in threads.

    Args:
        folder: The plugin's folder in the data folder; made where it is not there. None keeps all in memory.

    Raises `OSError` or `sqlite3.Error` where the folder takes no file.
    """

    def __init__(self, folder: Path | None) -> None:
        file = ":memory:" if folder is None else str(_private(folder / "prompts.sqlite3"))
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """The server ends."""
        with self._lock:
            self._db.close()

    def prompts(self) -> list[Prompt]:
        """All that are remembered, in their order, without their graphs."""
        rows = self._read("select facts from prompts order by abs(number)")
        return [_prompt(json.loads(facts)) for (facts,) in rows]

    def add(self, prompt: Prompt, document: str) -> None:
        """Remember a prompt with the graph that was sent, as JSON."""
        self._write(
            "insert or replace into prompts values (?, ?, ?, ?, ?)",
            (prompt.id, prompt.number, prompt.ended, json.dumps(asdict(prompt)), document),
        )

    def update(self, prompt: Prompt) -> None:
        """Remember where it stands."""
        self._write(
            "update prompts set ended = ?, facts = ? where id = ?",
            (prompt.ended, json.dumps(asdict(prompt)), prompt.id),
        )

    def documents(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The graphs that were sent, with what came with them, by the prompt."""
        found: dict[str, dict[str, Any]] = {}
        for prompt_id in ids:
            for (document,) in self._read("select document from prompts where id = ?", prompt_id):
                found[prompt_id] = json.loads(document)
        return found

    def forget(self, ids: Sequence[str]) -> None:
        """Remember these no longer."""
        for prompt_id in ids:
            self._write("delete from prompts where id = ?", (prompt_id,))

    def name(self, kind: str, subfolder: str, beginning: str, image_ids: Sequence[str]) -> list[str]:
        """Give files their names, each with the next number that is free: `ComfyUI_00001_.png`.

        Args:
            kind: `output` or `temp`.
            subfolder: Where clients are told that they lie.
            beginning: What their names begin with.
            image_ids: The gallery's images.
        """
        with self._lock:
            pattern = f"{beginning}_%"
            query = "select name from files where kind = ? and subfolder = ? and name like ? escape '\\'"
            escaped = pattern[:-1].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            taken = [_number(name, beginning) for (name,) in self._db.execute(query, (kind, subfolder, escaped))]
            first = max(taken, default=0) + 1
            names = [f"{beginning}_{number:05}_.png" for number in range(first, first + len(image_ids))]
            rows = [(kind, subfolder, name, image_id) for name, image_id in zip(names, image_ids, strict=True)]
            self._db.executemany("insert into files values (?, ?, ?, ?)", rows)
        return names

    def image_of(self, kind: str, subfolder: str, name: str) -> str | None:
        """The image that a file's name means; None for a name that was never given."""
        query = "select image_id from files where kind = ? and subfolder = ? and name = ?"
        return next((str(image_id) for (image_id,) in self._read(query, kind, subfolder, name)), None)

    def upload(self, kind: str, subfolder: str, name: str) -> tuple[str, str] | None:
        """The digests of an uploaded file and of its mask, which may be empty; None where there is none."""
        query = "select digest, mask from uploads where kind = ? and subfolder = ? and name = ?"
        found = next(((str(digest), str(mask)) for digest, mask in self._read(query, kind, subfolder, name)), None)
        if found:
            statement = "update uploads set used = ? where kind = ? and subfolder = ? and name = ?"
            self._write(statement, (time.time(), kind, subfolder, name))
        return found

    def keep_upload(self, key: tuple[str, str, str], digest: str, mask: str, size: int) -> None:
        """Remember an uploaded file under its kind, subfolder and name."""
        self._write(
            "insert or replace into uploads values (?, ?, ?, ?, ?, ?, ?)", (*key, digest, mask, size, time.time())
        )

    def uploads(self) -> list[tuple[str, str, str, str, str, int]]:
        """All uploaded files, the longest unused first: kind, subfolder, name, digest, mask's digest, bytes."""
        query = "select kind, subfolder, name, digest, mask, size from uploads order by used"
        return self._read(query)

    def drop_upload(self, kind: str, subfolder: str, name: str) -> None:
        """Remember an uploaded file no longer."""
        self._write("delete from uploads where kind = ? and subfolder = ? and name = ?", (kind, subfolder, name))

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            self._db.execute(statement, values)

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _private(file: Path) -> Path:
    """A file that nobody else may read, made where it is not there."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    return file


def _prompt(facts: dict[str, Any]) -> Prompt:
    return Prompt(**{name: value for name, value in facts.items() if name in _NAMES})


def _number(name: str, beginning: str) -> int:
    digits = name[len(beginning) + 1 :].partition("_")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0

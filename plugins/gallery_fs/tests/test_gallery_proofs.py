"""The promises under force: killed, refused by the disk call by call, and used by a crowd.

`make test` runs short forms; with VISIONCRAFT_SOAK=1 (`make soak`) they run in full.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from visioncraft import ImageRecord, StorageError, decode_png, image_filename, new_image_id, read_record, with_record
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]
SOAK = bool(os.environ.get("VISIONCRAFT_SOAK"))
KILLS = 200 if SOAK else 6
CROWD_SECONDS = 60 if SOAK else 0
SCRIPTS = Path(__file__).parent / "scripts"
MOMENT = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SAVE_CALLS = "open,openat,write,fsync,rename,pwrite64,fdatasync"


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(SCRIPTS / script), *map(str, arguments)]


@pytest.mark.timeout(1800)
def test_kills_during_eight_saves_at_once_lose_nothing_acknowledged_and_tear_nothing(tmp_path: Path) -> None:
    root = tmp_path / "gallery"
    told = subprocess.run(python("killed.py", root, KILLS), capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    acknowledged = told.stdout.split()
    store = GalleryStore(root)
    store.start()
    assert len(acknowledged) >= 10 * KILLS and len(set(acknowledged)) == len(acknowledged)
    for image_id in acknowledged:
        assert decode_png(store.open(image_id)).shape == (200, 300, 3)
    for file in root.rglob("*.png"):
        assert read_record(file.read_bytes()) is not None
    assert store._index.damage() == []
    outcome = store.reindex()
    assert (list(outcome.skipped), outcome.removed) == ([], 0)
    assert store.check().problems == []
    store.close()


@pytest.fixture
def prepared(tmp_path: Path, draw: Draw) -> Path:
    """A gallery with one picture of the day on which further ones are saved."""
    store = GalleryStore(tmp_path / "gallery")
    store.start()
    store.save(*draw())
    store.close()
    return store.root


class Traced:
    """One save under strace, which watches only the paths of that save."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.image_id = new_image_id()
        day = root / f"{MOMENT:%Y/%m/%d}"
        self.file = day / image_filename(self.image_id, MOMENT)
        self.paths = {
            "temporary": self.file.with_name(f".{self.file.name}.tmp"),
            "folder": day,
            "log": root / "index.sqlite3-wal",
        }

    def run(self, *options: str, log: Path, watched: tuple[str, ...]) -> dict[str, Any]:
        """Answers what the save told."""
        done = self.strace(*options, log=log, watched=watched)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def strace(self, *options: str, log: Path, watched: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """The save in a process of its own, to its end."""
        paths = [part for name in watched for part in ("-P", str(self.paths[name]))]
        strace = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", "signal=none", *options, *paths]
        program = python("one_save.py", self.root, self.image_id, MOMENT.isoformat())
        return subprocess.run([*strace, *program], capture_output=True, text=True)


def marks(lines: list[str]) -> tuple[int, int]:
    """Where the save begins and ends in a trace."""
    begin, end = (next(number for number, line in enumerate(lines) if mark in line) for mark in ('"/begin"', '"/end"'))
    return begin + 1, end


def trace(prepared: Path, log: Path) -> tuple[Traced, list[str]]:
    """The system calls of one good save on its own paths."""
    traced = Traced(prepared)
    traced.paths |= {"begin": Path("/begin"), "end": Path("/end")}
    (prepared / f"{MOMENT:%Y/%m/%d}").mkdir(parents=True, exist_ok=True)
    told = traced.run("-e", f"trace={SAVE_CALLS},access,faccessat", log=log, watched=tuple(traced.paths))
    assert (told["error"], told["after"]) == (None, told["before"] + 1)
    return traced, log.read_text().splitlines()


def named(traced: Traced, lines: list[str]) -> list[str]:
    """`fsync temporary`, `rename`, …: each line as the call and what it was called on."""
    found = []
    for line in lines:
        call = re.search(r"\b(\w+)\(", line)
        assert call, line
        on = next((name for name in ("temporary", "log", "begin", "end") if str(traced.paths[name]) in line), "folder")
        found.append("rename" if call[1] == "rename" else f"{call[1]} {on}")
    return found


def test_the_system_calls_of_a_save_are_file_then_name_then_folder_then_commit(prepared: Path, tmp_path: Path) -> None:
    traced, lines = trace(prepared, tmp_path / "trace")
    calls = [
        call
        for call in named(traced, lines[slice(*marks(lines))])
        if call.split()[0] in ("fsync", "rename", "fdatasync")
    ]
    # SQLite brings the header of a fresh log to disk before the commit itself: https://sqlite.org/fileformat2.html#walformat
    once = list(dict.fromkeys(call.replace("fdatasync", "fsync") for call in calls))
    assert once == ["fsync temporary", "rename", "fsync folder", "fsync log"], lines
    assert calls.count("fsync temporary") == calls.count("rename") == calls.count("fsync folder") == 1


def steps(traced: Traced, lines: list[str]) -> list[tuple[str, str, int]]:
    """Every call of the save as (call, on what, its number among all such calls), for strace to make fail."""
    seen: Counter[tuple[str, str]] = Counter()
    begin, end = marks(lines)
    found = []
    for line, name in enumerate(named(traced, lines)):
        call, on = ("rename", "temporary") if name == "rename" else name.split()
        seen[call, on] += 1
        if begin <= line < end:
            found.append((call, on, seen[call, on]))
    return found


@pytest.mark.timeout(900)
def test_a_disk_that_fails_at_any_system_call_of_a_save_leaves_nothing_of_it(prepared: Path, tmp_path: Path) -> None:
    every = steps(*trace(prepared, tmp_path / "trace"))
    assert {(call, on) for call, on, _ in every} >= {
        ("openat", "temporary"),
        ("write", "temporary"),
        ("fsync", "temporary"),
        ("rename", "temporary"),
        ("fsync", "folder"),
        ("pwrite64", "log"),
    }
    tried = [(*step, error) for step in every for error in ("ENOSPC", "EIO")]
    if not SOAK:  # of a dozen alike, as the pages of a commit, the last
        ends = set({step[:2]: step for step in every}.values())
        tried = [step for step in tried if step[:3] in ends and (step[3] == "ENOSPC" or "sync" in step[0])]
    print(f"{len(tried)} failing calls")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda work: failing_save(prepared, tmp_path / f"trace-{work[0]}", *work[1]), enumerate(tried)))


def failing_save(prepared: Path, log: Path, call: str, on: str, number: int, error: str) -> None:
    """One save in a copy of the gallery, of which one call fails once."""
    root = log.with_suffix(".gallery")
    subprocess.run(["cp", "-r", str(prepared), str(root)], check=True)
    traced = Traced(root)
    inject = f"inject={call}:error={error}:when={number}"
    told = traced.run("-e", f"trace={call}", "-e", inject, log=log, watched=(on,))
    where = f"{call} on the {on}, {error}"
    assert "(INJECTED)" in log.read_text(), where
    if told["error"] is None:  # SQLite tried again and succeeded: then the picture is kept
        assert told["after"] == told["before"] + 1, where
    else:
        assert told["after"] == told["before"] and told["again"] is True, where
        assert traced.file.name not in "".join(told["files"]), where
        assert str(root) in told["error"], where
        assert os.strerror(getattr(errno, error)) in told["error"] or "index.sqlite3" in told["error"], told["error"]
    assert told["damage"] == [], where


@pytest.mark.timeout(900)
def test_a_picture_whose_save_was_killed_at_any_system_call_is_there_or_can_be_saved(
    prepared: Path, tmp_path: Path, draw: Draw
) -> None:
    every = steps(*trace(prepared, tmp_path / "trace"))
    ends = every if SOAK else list({step[:2]: step for step in every}.values())
    assert {step[:2] for step in ends} >= {("write", "temporary"), ("rename", "temporary"), ("fsync", "folder")}
    for number, step in enumerate(ends):
        killed_save(prepared, tmp_path / f"killed-{number}", *step, draw)


def killed_save(prepared: Path, log: Path, call: str, on: str, number: int, draw: Draw) -> None:
    """A save in a copy of the gallery that is killed at one call, then the same picture again, as its job would."""
    root = log.with_suffix(".gallery")
    subprocess.run(["cp", "-r", str(prepared), str(root)], check=True)
    traced = Traced(root)
    inject = f"inject={call}:signal=KILL:when={number}"
    assert traced.strace("-e", f"trace={call}", "-e", inject, log=log, watched=(on,)).returncode == -signal.SIGKILL
    store = GalleryStore(root)
    store.start()
    record, png = draw()
    record = replace(record, id=traced.image_id, created_at=MOMENT, filename=traced.file.name)
    try:
        store.save(record, with_record(png, record))
    except StorageError as error:
        assert "already stored" in error.message and call == "fdatasync", (call, on)
    assert store.open(record.id) and store.count() == 3
    assert store.check().problems == []
    assert [path.name for path in traced.file.parent.iterdir() if traced.file.name in path.name] == [traced.file.name]
    store.close()


@pytest.mark.timeout(600)
def test_ten_writers_and_ten_readers_never_find_the_index_locked_nor_a_walk_with_a_double_or_a_gap(
    tmp_path: Path, draw: Draw
) -> None:
    root = tmp_path / "gallery"
    store = GalleryStore(root)
    store.start()
    for second in range(60):
        store.save(*draw(second, prompt="stays"))
    crowds = [
        subprocess.Popen(
            python("crowd.py", root, 6, CROWD_SECONDS), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    saved = 60
    for crowd in crowds:
        out, err = crowd.communicate()
        assert crowd.returncode == 0, err
        told = json.loads(out)
        assert told["wrong"] == [] and told["walks"] >= 5
        saved += told["saved"] - told["deleted"]
        print(told)
    assert store.count() == saved == len(list(root.rglob("*.png")))
    assert store._index.damage() == []
    store.close()

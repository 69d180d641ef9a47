"""What is promised about power cuts, full disks and killed servers."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from visioncraft import ImageRecord, StorageError, decode_png, read_record
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]
WRITER = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from visioncraft import ImageRecord, encode_png, with_record
from visioncraft.types.ids import image_filename, new_image_id
from visioncraft_gallery_fs.store import GalleryStore

store = GalleryStore(Path(sys.argv[1]))
store.start()
png = encode_png(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
while True:
    image_id, now = new_image_id(), datetime.now(UTC)
    record = ImageRecord(image_id, image_filename(image_id, now), "p", "", "mini", 1, 300, 200, 0.1, 0.0, now)
    store.save(record, with_record(png, record))
    print(image_id, flush=True)
"""


def left_over(root: Path) -> list[Path]:
    """Every file of the gallery that is not its index."""
    return [path for path in root.rglob("*") if path.is_file() and not path.name.startswith("index.sqlite3")]


@contextmanager
def before_commits(do: Callable[[], None]) -> Iterator[None]:
    """Calls `do` whenever SQLAlchemy is about to commit."""

    def listener(_connection: object) -> None:
        do()

    event.listen(Engine, "commit", listener)
    try:
        yield
    finally:
        event.remove(Engine, "commit", listener)


def test_file_then_name_then_folders_then_row_reach_the_disk_in_this_order(
    store: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename
    record, png = draw()

    def spied_fsync(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        (path,) = (path for path in (root, *root.rglob("*")) if path.stat().st_ino == inode)
        calls.append(f"fsync {path.relative_to(root).as_posix()}")
        fsync(descriptor)

    def spied_rename(old: Path, new: Path) -> None:
        assert store.count() == 0  # the row does not come before the file
        assert Path(old).read_bytes() == png
        calls.append(f"rename {Path(old).name} {Path(new).name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", spied_fsync)
    monkeypatch.setattr(os, "rename", spied_rename)
    with before_commits(lambda: calls.append("commit")):
        store.save(record, png)
    assert calls == [
        "fsync .",
        "fsync 2026",
        "fsync 2026/11",
        f"fsync 2026/11/23/.{record.filename}.tmp",
        f"rename .{record.filename}.tmp {record.filename}",
        "fsync 2026/11/23",
        "commit",
    ]


def test_a_commit_is_on_the_disk_when_it_returns(store: GalleryStore, root: Path) -> None:
    settings: list[tuple[int, str]] = []

    def ask(connection: sqlite3.Connection, _record: object) -> None:
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        settings.append((level, mode))

    event.listen(store._index._engine, "connect", ask)
    store._index._engine.dispose()
    store.count()
    assert settings == [(2, "wal")]  # 2 is FULL: https://sqlite.org/pragma.html#pragma_synchronous


def failing(number: int, only: Callable[[int], bool] = lambda _: True) -> Callable[..., None]:
    """A stand-in for a call on a disk that fails with this errno; `only` picks the calls that fail, from 1."""
    calls = 0

    def fail(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        if only(calls):
            raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("step", ["open", "write", "fsync of the file", "rename", "fsync of the folder"])
def test_a_save_that_fails_at_any_step_leaves_nothing_and_the_next_one_works(
    step: str, number: int, store: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(*draw())  # the folders are there and durable: the first fsync is the file's
    kept = left_over(root)
    record, png = draw()
    with monkeypatch.context() as patched:
        if step == "write":
            patched.setattr(os, "fdopen", full_disk_stream(number))
        elif step == "fsync of the file":
            patched.setattr(os, "fsync", failing(number))
        elif step == "fsync of the folder":
            patched.setattr(os, "fsync", failing(number, only=lambda call: call == 2))
        else:
            patched.setattr(os, step, failing(number))
        with pytest.raises(StorageError) as caught:
            store.save(record, png)
    assert f"{record.filename}: cannot be written: {os.strerror(number)}; " in caught.value.message
    assert "[plugins.config.gallery_fs] root" in caught.value.message
    assert left_over(root) == kept
    assert store.count() == 1
    store.save(record, png)
    assert store.open(record.id) == png


def full_disk_stream(number: int) -> Callable[..., object]:
    """`os.fdopen` whose stream takes half of what it is given and then fails, as a disk that fills up does."""
    fdopen = os.fdopen

    class Stream:
        def __init__(self, descriptor: int, mode: str) -> None:
            self._real = fdopen(descriptor, mode)

        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *_: object) -> None:
            self._real.close()

        def write(self, data: bytes) -> int:
            self._real.write(data[: len(data) // 2])
            self._real.flush()
            raise OSError(number, os.strerror(number))

    return Stream


def test_a_folder_that_cannot_be_made_fails_the_save_only(
    store: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", failing(errno.ENOSPC))
        with pytest.raises(StorageError, match="No space left on device; free some space there or set"):
            store.save(*draw())
    assert left_over(root) == []
    store.save(*draw())


def test_a_row_that_sqlite_refuses_takes_the_file_with_it(store: GalleryStore, root: Path, draw: Draw) -> None:
    connection = sqlite3.connect(root / "index.sqlite3")
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON pictures BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(StorageError, match=r"index\.sqlite3: the gallery's index cannot be used: disk is full; check"):
        store.save(*draw())
    assert left_over(root) == []
    connection.execute("DROP TRIGGER full")
    connection.close()
    assert store.count() == 0
    store.save(*draw())


def test_a_commit_that_is_cut_off_takes_the_file_with_it(store: GalleryStore, root: Path, draw: Draw) -> None:
    failures = [KeyboardInterrupt()]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    with before_commits(fail_once), pytest.raises(KeyboardInterrupt):
        store.save(*draw())
    assert not failures
    assert left_over(root) == []
    assert store.count() == 0


def test_every_picture_a_killed_server_had_acknowledged_is_there_and_none_is_torn(tmp_path: Path) -> None:
    root = tmp_path / "gallery"
    acknowledged: list[str] = []
    for lines in (7, 13, 20):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(lines)]
        process.kill()
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        process.wait()
    store = GalleryStore(root)
    store.start()
    assert len(acknowledged) >= 40
    for image_id in acknowledged:
        assert decode_png(store.open(image_id)).shape == (200, 300, 3)
    for file in root.rglob("*.png"):
        assert read_record(file.read_bytes()) is not None
    outcome = store.reindex()
    assert (outcome.indexed, list(outcome.skipped)) == (store.count(), [])
    store.close()

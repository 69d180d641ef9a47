"""What a start reads ahead."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from visioncraft_gallery_fs.index import index, prefetch
from visioncraft_gallery_fs.index.prefetch import Prefetch
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., Any]
SIZE = 5 * 2**20 + 7


def bytes_read() -> int:
    """Bytes that this process and those that it has waited for asked any file for so far, as the kernel counts them."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "index.sqlite3"
    path.write_bytes(bytes(SIZE))
    return path


def test_all_of_the_index_is_read(file: Path) -> None:
    before = bytes_read()
    ahead = Prefetch(file, worth=0)
    ahead.start()
    ahead.start()  # nothing more
    ahead.wait()
    ahead.stop()
    assert SIZE <= bytes_read() - before < 2 * SIZE


@pytest.mark.parametrize(("worth", "memory"), [(SIZE + 1, 2**40), (0, SIZE)])
def test_an_index_that_is_small_or_that_memory_cannot_hold_is_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch, worth: int, memory: int
) -> None:
    monkeypatch.setattr(prefetch, "_memory", lambda: memory)
    ahead = Prefetch(file, worth)
    ahead.start()
    assert ahead.reader is None


def test_a_stop_ends_what_would_take_long_and_it_can_start_again(tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    endless.symlink_to("/dev/zero")
    ahead = Prefetch(endless, worth=0)
    for _ in range(2):
        ahead.start()
        assert ahead.reader is not None
        reader = psutil.Process(ahead.reader)
        ahead.stop()
        assert not reader.is_running()


def test_a_missing_index_is_no_error(tmp_path: Path) -> None:
    ahead = Prefetch(tmp_path / "missing", worth=0)
    ahead.start()
    ahead.stop()
    assert list(tmp_path.iterdir()) == []


def test_reading_ahead_leaves_sqlite_its_locks(tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "Prefetch", lambda file: Prefetch(file, worth=0))
    store = GalleryStore(tmp_path / "gallery", read_ahead=True)
    store.start()
    store.save(*draw(1))
    assert store._index._ahead.reader is not None
    store._index._ahead.wait()
    assert locks_on(tmp_path / "gallery" / "index.sqlite3") > 0
    store.close()
    assert locks_on(tmp_path / "gallery" / "index.sqlite3") == 0


def locks_on(file: Path) -> int:
    """How many locks this process has on a file, as the kernel lists them."""
    wanted = f":{file.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return sum(wanted in line and f" {os.getpid()} " in line for line in lines)

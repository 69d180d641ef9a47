"""What a start reads ahead."""

from __future__ import annotations

from pathlib import Path

import pytest
from visioncraft_gallery_fs import warming
from visioncraft_gallery_fs.warming import Warming

SIZE = 5 * 2**20 + 7


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "index.sqlite3"
    path.write_bytes(bytes(SIZE))
    return path


def read_by_this_process() -> int:
    """Bytes that this process asked any file for so far, as the kernel counts them."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"])


def test_all_of_the_index_is_read_once(file: Path) -> None:
    before = read_by_this_process()
    ahead = Warming(file)
    ahead.start()
    ahead.start()
    ahead.wait()
    assert SIZE <= read_by_this_process() - before < 2 * SIZE
    ahead.stop()


def test_an_index_that_memory_cannot_hold_is_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "_memory", lambda: SIZE)
    before = read_by_this_process()
    ahead = Warming(file)
    ahead.start()
    ahead.wait()
    assert read_by_this_process() - before < SIZE


def test_a_stop_ends_what_would_take_long_and_it_can_start_again(tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    endless.symlink_to("/dev/zero")
    ahead = Warming(endless)
    for _ in range(2):
        ahead.start()
        ahead.stop()


def test_a_missing_index_is_no_error(tmp_path: Path) -> None:
    ahead = Warming(tmp_path / "missing")
    ahead.start()
    ahead.stop()
    assert list(tmp_path.iterdir()) == []

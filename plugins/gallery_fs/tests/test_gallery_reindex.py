"""The index holds nothing that the files do not."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from visioncraft import GalleryQuery, ImageRecord, Marks, StorageError
from visioncraft_gallery_fs.index import rebuild
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def reopened(root: Path) -> GalleryStore:
    store = GalleryStore(root)
    store.start()
    return store


def test_a_lost_index_is_rebuilt_at_the_start_exactly_as_it_was(
    store: GalleryStore, root: Path, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(0, 20, 3):
        store.save(*draw(second, model=f"model-{second % 2}"))
    before = store.list(100)
    store.close()
    (root / "index.sqlite3").unlink()
    with caplog.at_level(logging.WARNING):
        again = reopened(root)
    assert again.list(100) == before
    assert again.list(100, query=GalleryQuery(model="MODEL-1")).total == 3
    assert (
        "the index was missing, damaged or of another version and was rebuilt: 7 pictures, 0 files skipped"
        in caplog.text
    )
    again.close()


def test_an_empty_gallery_starts_without_a_word(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    reopened(root).close()
    assert not caplog.records


def test_a_whole_index_is_not_read_again_at_the_start(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    shutil.copytree(root / "2026", root.parent / "2026")
    store.delete(record.id)
    store.close()
    shutil.copytree(root.parent / "2026", root / "2026", dirs_exist_ok=True)
    again = reopened(root)
    assert again.count() == 0
    assert again.reindex().indexed == again.count() == 1
    again.close()


@pytest.mark.parametrize("damage", ["no database", "a torn page", "another layout", "cut short"])
def test_a_damaged_index_is_rebuilt_at_the_start(damage: str, store: GalleryStore, root: Path, draw: Draw) -> None:
    for second in range(30):
        store.save(*draw(second))
    before = store.list(100)
    store.close()
    file = root / "index.sqlite3"
    content = file.read_bytes()
    if damage == "no database":
        file.write_bytes(b"this is a text file" * 400)
    elif damage == "a torn page":
        file.write_bytes(content[:4096] + bytes(len(content) - 4096))
    elif damage == "cut short":
        file.write_bytes(content[: len(content) // 2])
    else:
        connection = sqlite3.connect(file)
        connection.executescript("DROP TABLE pictures; CREATE TABLE pictures (id); PRAGMA user_version = 99;")
        connection.close()
    again = reopened(root)
    assert again.list(100) == before
    assert (root / "index.sqlite3.damaged").exists() == (damage != "another layout")
    again.close()


def test_a_rebuild_that_was_cut_off_is_done_again(root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    store = reopened(root)
    for second in range(4):
        store.save(*draw(second))
    store.close()
    (root / "index.sqlite3").unlink()
    monkeypatch.setattr(rebuild, "_BATCH", 1)
    store = GalleryStore(root)
    store.prepare()

    def cut_off(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.reindex(cut_off)
    assert store.count() == 2
    store.close()
    again = reopened(root)
    assert again.count() == 4
    again.close()


def test_a_reindex_drops_rows_without_a_file_and_mends_rows_that_are_wrong(
    store: GalleryStore, root: Path, draw: Draw
) -> None:
    gone = draw()
    record, png = draw(second=1)
    store.save(*gone)
    store.save(record, png)
    next(root.rglob(gone[0].filename)).unlink()
    connection = sqlite3.connect(root / "index.sqlite3")
    with connection:
        connection.execute("UPDATE pictures SET prompt = 'something else', facts = 'no json'")
    connection.close()
    with pytest.raises(StorageError, match=r"index is damaged: .*run 'visioncraft gallery reindex'"):
        store.list(10)
    seen: list[tuple[int, int]] = []
    outcome = store.reindex(lambda done, total: seen.append((done, total)))
    assert (outcome.indexed, outcome.removed, list(outcome.skipped)) == (1, 1, [])
    assert seen == [(1, 1)]
    assert list(store.list(10).items) == [record]


def test_files_that_are_no_picture_of_ours_are_skipped_by_name(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    day = root / "2026/11/23"
    copy = root / "2026/11/22" / record.filename
    copy.parent.mkdir()
    copy.write_bytes(png)
    foreign = day / "generated_image_20261123_000000_aaaaaa.png"
    foreign.write_bytes(png.replace(b"visioncraft", b"somebodyels"))
    torn = day / "generated_image_20261123_000000_bbbbbb.png"
    torn.write_bytes(png[:-40])
    (day / "holiday.png").write_bytes(png)
    outcome = store.reindex()
    assert outcome.indexed == store.count() == 1
    assert store.open(record.id) == png
    assert sorted(outcome.skipped) == sorted(
        [
            f"{copy}: a copy of picture {record.id}, which has another file",
            f"{foreign}: The PNG's iTXt chunk is damaged: its checksum does not match",
            f"{torn}: The PNG ends early: nothing whole follows its IDAT chunk",
        ]
    )


@pytest.mark.parametrize("copied_to", ["2027/01/01/{}", "2026/11/23/generated_image_20261123_000000_000000.png"])
@pytest.mark.parametrize("batch", [1, 500])
def test_a_copy_does_not_take_the_tags_of_the_original(
    batch: int, copied_to: str, store: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_BATCH", batch)
    record, png = draw()
    kept = store.mark(store.save(record, png).id, Marks(("fruit",), True, 5, "mine"))
    copy = root / copied_to.format(record.filename)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(png)
    assert store.reindex().skipped == [f"{copy}: a copy of picture {record.id}, which has another file"]
    assert list(store.list(5).items) == [kept]


def test_a_file_moved_to_another_day_is_found_where_it_is(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    moved = root / "2025/01/01" / record.filename
    moved.parent.mkdir(parents=True)
    (root / "2026/11/23" / record.filename).rename(moved)
    store.reindex()
    assert store.open(record.id) == png
    assert store.count() == 1


def test_a_picture_saved_while_a_reindex_runs_stays(
    store: GalleryStore, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_BATCH", 1)
    store.save(*draw())
    meanwhile: list[str] = []
    store.reindex(lambda *_: meanwhile.append(store.save(*draw(second=5)).id))
    assert store.count() == 2
    assert store.get(meanwhile[0])

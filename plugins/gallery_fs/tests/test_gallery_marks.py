"""Tags, stars, ratings and notes: beside the picture, and as lasting."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from visioncraft import GalleryQuery, ImageRecord, Marks, NotFound, StorageError, new_image_id
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]
MARKS = Marks(("fruit", "苹果"), True, 4, 'a note, "quoted"')


def sidecar(root: Path, record: ImageRecord) -> Path:
    (picture,) = root.rglob(record.filename)
    return picture.with_suffix(".json")


def test_marks_outlive_the_index_and_leave_the_picture_as_it_is(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    assert store.mark(record.id, MARKS).marks == store.get(record.id).marks == MARKS
    assert store.open(record.id) == png
    store.close()
    (root / "index.sqlite3").unlink()
    store.start()
    assert store.get(record.id).marks == MARKS
    assert list(store.list(5, query=GalleryQuery(text="note", tags=("苹果",), min_rating=4)).items) == [
        store.get(record.id)
    ]


def test_marks_that_say_nothing_leave_no_file(store: GalleryStore, root: Path, draw: Draw) -> None:
    record = store.save(*draw())
    store.mark(record.id, MARKS)
    assert json.loads(sidecar(root, record).read_text())["rating"] == 4
    store.mark(record.id, Marks())
    assert not sidecar(root, record).exists()
    assert store.get(record.id).marks == Marks()


def test_a_deleted_picture_takes_its_marks_along(store: GalleryStore, root: Path, draw: Draw) -> None:
    record = store.save(*draw())
    store.mark(record.id, MARKS)
    path = sidecar(root, record)
    store.delete(record.id)
    assert not path.exists()
    for missing in (record.id, new_image_id(), "../../etc"):
        with pytest.raises(NotFound):
            store.mark(missing, MARKS)


def test_a_picture_removed_by_hand_takes_no_marks(store: GalleryStore, root: Path, draw: Draw) -> None:
    record = store.save(*draw())
    path = sidecar(root, record)
    path.with_suffix(".png").unlink()
    with pytest.raises(NotFound):
        store.mark(record.id, MARKS)
    assert not path.exists() and store.count() == 0


def test_a_disk_that_refuses_marks_leaves_those_that_were_there(
    store: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = store.save(*draw())
    store.mark(record.id, MARKS)

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match="its marks cannot be written: No space left on device; free some"):
            store.mark(record.id, Marks(rating=1))
    assert store.get(record.id).marks == MARKS
    assert json.loads(sidecar(root, record).read_text())["rating"] == 4
    assert not list(root.rglob("*.tmp"))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"tags": "x", "favourite": true, "rating": 1, "notes": ""}', b"\xff", b"[" * 100_000],
)
def test_marks_that_cannot_be_read_are_reported_and_the_picture_is_listed(
    content: bytes, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record = store.save(*draw())
    sidecar(root, record).write_bytes(content)
    outcome = store.reindex()
    assert (outcome.indexed, len(outcome.skipped)) == (1, 1)
    assert f"{sidecar(root, record)}: no tags, rating and notes inside" in outcome.skipped[0]
    assert store.check().problems == list(outcome.skipped)


def test_marks_that_many_set_at_once_end_as_one_of_theirs(store: GalleryStore, root: Path, draw: Draw) -> None:
    record = store.save(*draw())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.mark(record.id, Marks((f"t{number}",), rating=number % 6)), range(40)))
    kept = store.get(record.id)
    store.reindex()
    assert store.get(record.id) == kept and kept.marks.tags
    assert not list(root.rglob("*.tmp"))

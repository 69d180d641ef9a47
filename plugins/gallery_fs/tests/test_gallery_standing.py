"""An index that is deleted or replaced under a running server: nothing acknowledged is missing from the next one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from visioncraft import ImageRecord, Marks
from visioncraft_gallery_fs.index.index import PictureIndex
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


@pytest.fixture
def other(root: Path) -> Iterator[GalleryStore]:
    """A second process's gallery in the same folder, not started."""
    opened = GalleryStore(root)
    yield opened
    opened.close()


def ids(store: GalleryStore) -> set[str]:
    return {record.id for record in store.list(100).items}


def delete_index(root: Path, endings: Sequence[str] = ("",)) -> None:
    for ending in endings:
        (root / f"index.sqlite3{ending}").unlink()


@pytest.mark.parametrize("endings", [("",), ("", "-wal", "-shm")], ids=["alone", "with its log"])
def test_pictures_saved_before_and_after_the_index_was_deleted_are_listed_by_everybody(
    endings: Sequence[str], store: GalleryStore, other: GalleryStore, root: Path, draw: Draw
) -> None:
    saved = {store.save(*draw(0)).id}
    delete_index(root, endings)
    assert ids(store) == saved
    assert not (root / "index.sqlite3").exists()  # who reads does not put an empty one there
    saved.add(store.save(*draw(1)).id)
    other.start()
    assert ids(store) == ids(other) == saved
    assert store.check().problems == []


def test_pictures_saved_after_somebody_else_made_a_new_index_are_listed_by_everybody(
    store: GalleryStore, other: GalleryStore, root: Path, draw: Draw
) -> None:
    saved = {store.save(*draw(0)).id}
    delete_index(root)
    other.start()
    saved.add(store.save(*draw(1)).id)
    saved.add(other.save(*draw(2)).id)
    assert ids(store) == ids(other) == saved


def test_a_row_that_goes_into_an_index_that_is_being_deleted_goes_into_the_next_one_too(
    store: GalleryStore, other: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its hash with it, which no file tells."""
    put, deletions = PictureIndex.put, [1]

    def put_as_it_goes(index: PictureIndex, rows: Sequence[dict[str, Any]]) -> None:
        if deletions:
            deletions.pop()
            delete_index(root)
        put(index, rows)

    monkeypatch.setattr(PictureIndex, "put", put_as_it_goes)
    saved = store.save(*draw(0))
    assert not deletions
    other.start()
    assert ids(other) == {saved.id}
    assert other.check().noted == 0


def test_an_older_copy_in_the_indexs_place_learns_what_it_lacks(store: GalleryStore, root: Path, draw: Draw) -> None:
    saved = {store.save(*draw(0)).id}
    store.close()
    shutil.copyfile(root / "index.sqlite3", root.parent / "backup")
    store.start()
    saved.add(store.save(*draw(1)).id)
    delete_index(root, ("", "-wal", "-shm"))
    (root.parent / "backup").rename(root / "index.sqlite3")
    assert ids(store) == saved


def test_marks_and_deletes_reach_the_index_that_stands_there(
    store: GalleryStore, other: GalleryStore, root: Path, draw: Draw
) -> None:
    starred, deleted = (store.save(*draw(second)).id for second in range(2))
    delete_index(root)
    other.start()
    store.mark(starred, Marks(favourite=True))
    delete_index(root)
    store.delete(deleted)
    other.close()
    other.start()
    assert [(record.id, record.marks.favourite) for record in other.list(9).items] == [(starred, True)]


def test_a_server_that_reads_goes_over_to_the_new_index(
    store: GalleryStore, other: GalleryStore, root: Path, draw: Draw
) -> None:
    store.save(*draw(0))
    delete_index(root)
    other.start()
    saved = other.save(*draw(1))
    assert store.get(saved.id) == saved


def test_a_folder_of_any_name_holds_an_index(tmp_path: Path, draw: Draw) -> None:
    """`?`, `#` and `%` mean something else in the address by which SQLite is asked for a file."""
    for name in ("50%20?mode=ro#x", "größe", os.fsdecode(b"\xff\xfe")):
        store = GalleryStore(tmp_path / name)
        store.start()
        saved = store.save(*draw())
        assert ids(store) == {saved.id} and (tmp_path / name / "index.sqlite3").exists()
        store.close()

"""Keeping, finding and removing pictures: what this store promises beyond the contract (test_gallery_contract)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest
from PIL import Image
from visioncraft import ImageRecord, NotFound, StorageError, StorageUnavailable
from visioncraft_gallery_fs.index.index import IndexFull, PictureIndex
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def picture_file(root: Path, record: ImageRecord) -> Path:
    (found,) = root.rglob(record.filename)
    return found


def test_bytes_are_kept_as_they_are_even_if_they_are_no_picture(store: GalleryStore, draw: Draw) -> None:
    record, _ = draw()
    store.save(record, b"\0anything\xff")
    assert store.open(record.id) == b"\0anything\xff"


def test_files_lie_in_folders_by_date_and_other_tools_can_read_them(
    store: GalleryStore, root: Path, draw: Draw
) -> None:
    before, after = draw(second=9), draw(second=10)
    for record, png in (before, after):
        store.save(record, png)
    file = root / "2026/11/23" / before[0].filename
    assert file.read_bytes() == before[1]
    assert (root / "2026/11/24" / after[0].filename).is_file()
    with Image.open(file) as picture:
        assert picture.text["parameters"].startswith("a red apple, 苹果\nNegative prompt: blurry\nSteps: 20")  # type: ignore[attr-defined]


def test_facts_that_only_pythons_json_knows_come_back_as_they_were(store: GalleryStore, draw: Draw) -> None:
    record, png = draw()
    facts = {"half a pair": "\ud83c", "loss": float("inf"), "large": 2**70}
    store.save(replace(record, facts=facts), png)
    assert store.get(record.id).facts == store.list(1).items[0].facts == facts


def test_pages_are_newest_first_whatever_the_order_of_saving(store: GalleryStore, draw: Draw) -> None:
    saved = [store.save(*draw(second)) for second in (3, 1, 4, 2, 0)]
    newest = sorted(saved, key=lambda record: record.created_at, reverse=True)
    page = store.list(2)
    assert (list(page.items), page.total, bool(page.next_cursor)) == (newest[:2], 5, True)
    page = store.list(2, 4)
    assert (list(page.items), page.total, page.next_cursor) == (newest[4:], 5, None)
    assert list(store.list(0).items) == []
    for limit, offset in ((50, 2**80), (2**80, 5)):
        page = store.list(limit, offset)
        assert (list(page.items), page.total, page.next_cursor) == ([], 5, None)


def test_pictures_of_the_same_moment_have_one_order(store: GalleryStore, root: Path, draw: Draw) -> None:
    ids = {store.save(*draw()).id for _ in range(5)}
    order = [store.list(1, offset).items[0].id for offset in range(5)]
    assert set(order) == ids
    (root / "index.sqlite3").unlink()
    store.close()
    store.start()
    assert [record.id for record in store.list(5).items] == order


def test_a_deleted_picture_leaves_nothing(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    store.thumbnail(record.id)
    store.delete(record.id)
    assert not [path for path in root.rglob("*") if path.is_file() and not path.name.startswith("index.sqlite3")]
    assert store.count() == 0
    for method in (store.get, store.open, store.delete, store.thumbnail):
        with pytest.raises(NotFound, match=record.id):
            method(record.id)


def test_a_delete_that_the_disk_refuses_keeps_the_picture(
    store: GalleryStore, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, png = draw()
    store.save(record, png)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        with pytest.raises(StorageError, match=rf"{record.filename}: cannot be deleted: Permission denied; give"):
            store.delete(record.id)
    assert store.open(record.id) == png
    assert list(store.list(10).items) == [record]


@pytest.mark.parametrize("method", ["get", "open", "thumbnail", "delete"])
def test_a_picture_removed_by_hand_is_not_found_and_its_row_goes(
    method: str, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record, png = draw()
    store.save(record, png)
    store.thumbnail(record.id)
    picture_file(root, record).unlink()
    if method == "delete":
        store.delete(record.id)
    else:
        with pytest.raises(NotFound, match=record.id):
            getattr(store, method)(record.id)
    assert store.count() == 0
    assert not list(root.rglob("*.webp"))


def test_a_picture_that_cannot_be_read_keeps_its_row(
    store: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, png = draw()
    store.save(record, png)

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(io, "open", fail)
        with pytest.raises(
            StorageError, match=rf"{record.filename}: cannot be read: Input/output error; check the disk"
        ):
            store.open(record.id)
    assert store.open(record.id) == png


def test_a_lost_mount_does_not_empty_the_index(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    aside = root.rename(root.with_name("unmounted"))
    for work in (lambda: store.open(record.id), store.check_room, lambda: store.save(*draw())):
        with pytest.raises(StorageUnavailable, match="gallery's folder is away: mount its disk"):
            work()
    aside.rename(root)
    assert store.open(record.id) == png
    store.save(*draw())


def test_what_is_left_of_a_lost_mount_takes_no_picture(store: GalleryStore, root: Path, draw: Draw) -> None:
    """An empty folder on another disk stands where the gallery's disk was mounted."""
    aside, elsewhere = root.rename(root.with_name("unmounted")), Path(mkdtemp(dir="/dev/shm"))
    assert elsewhere.stat().st_dev != aside.stat().st_dev
    root.symlink_to(elsewhere)
    try:
        for work in (store.check_room, lambda: store.save(*draw())):
            with pytest.raises(StorageUnavailable, match="gallery's disk is away"):
                work()
        assert not list(elsewhere.iterdir())
    finally:
        elsewhere.rmdir()
    root.unlink()
    aside.rename(root)
    store.save(*draw())


def test_eight_writers_and_eight_readers_do_not_lock_each_other_out(
    store: GalleryStore, root: Path, draw: Draw
) -> None:
    other_process = GalleryStore(root)  # connections of its own, as a second process has
    other_process.start()

    def write(number: int) -> list[str]:
        saved = [store.save(*draw(second=number)).id for _ in range(12)]
        store.delete(saved[0])
        return saved[1:]

    def read(_: int) -> list[str]:
        seen = []
        for _turn in range(12):
            page = other_process.list(20)
            for record in page.items[:3]:
                seen.append(record.id)
                store.thumbnail(record.id)
        return seen

    with ThreadPoolExecutor(16) as pool:
        writing = [pool.submit(write, number) for number in range(8)]
        reading = [pool.submit(_but_deleted, read, number) for number in range(8)]
        kept = {image_id for each in writing for image_id in each.result()}
        for each in reading:
            each.result()
    assert {record.id for record in store.list(1000).items} == kept
    assert len(kept) == 88
    other_process.close()


def _but_deleted(read: Callable[[int], list[str]], number: int) -> None:
    """A reader may ask for a picture that a writer deletes at that moment, and only that may go wrong."""
    try:
        read(number)
    except NotFound as error:
        assert "No picture" in error.message


def test_on_a_full_disk_a_delete_makes_room_for_itself(
    store: GalleryStore, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, png = draw()
    store.save(record, png)
    file, remove = picture_file(root, record), PictureIndex.remove

    def full_until_the_file_is_gone(index: PictureIndex, ids: Sequence[str]) -> list[str]:
        if file.exists():
            raise IndexFull("database or disk is full")
        return remove(index, ids)

    monkeypatch.setattr(PictureIndex, "remove", full_until_the_file_is_gone)
    store.delete(record.id)
    assert store.count() == 0
    assert not file.exists()

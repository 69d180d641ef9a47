"""Keeping, finding and removing pictures."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from visioncraft import ConfigurationError, ImageRecord, NotFound, StorageError
from visioncraft.ids import new_image_id
from visioncraft_gallery_fs.files import STALE_AFTER_S
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]
TRAVERSALS = [
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "img_../../../../../../etc/pass",
    "img_01m83krb1qdy96shcvvve1prax\0",
    "generated_image_20261123_235950_e1prax.png",
    "index.sqlite3",
    "img_" + "A" * 26,
    "' OR 1=1 --",
    "",
    "x" * 100_000,
]


def picture_file(root: Path, record: ImageRecord) -> Path:
    (found,) = root.rglob(record.filename)
    return found


def run_sql(root: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(root / "index.sqlite3")
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_a_picture_comes_back_byte_for_byte_with_all_that_is_known_of_it(store: GalleryStore, draw: Draw) -> None:
    record, png = draw()
    assert store.save(record, png) == record
    assert store.open(record.id) == png
    assert store.get(record.id) == record
    assert list(store.list(10).items) == [record]


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


def test_pages_are_newest_first_whatever_the_order_of_saving(store: GalleryStore, draw: Draw) -> None:
    saved = [store.save(*draw(second)) for second in (3, 1, 4, 2, 0)]
    newest = sorted(saved, key=lambda record: record.created_at, reverse=True)
    page = store.list(2)
    assert (list(page.items), page.total, page.next_cursor) == (newest[:2], 5, "2")
    page = store.list(2, 4)
    assert (list(page.items), page.total, page.next_cursor) == (newest[4:], 5, None)
    assert list(store.list(0).items) == []
    for limit, offset in ((50, 2**80), (2**80, 5)):
        page = store.list(limit, offset)
        assert (list(page.items), page.total, page.next_cursor) == ([], 5, None)


def test_pictures_of_the_same_moment_have_one_order(store: GalleryStore, draw: Draw) -> None:
    ids = [store.save(*draw()).id for _ in range(5)]
    assert [store.list(1, offset).items[0].id for offset in range(5)] == sorted(ids, reverse=True)


def test_a_model_is_found_under_every_spelling_of_its_id(store: GalleryStore, draw: Draw) -> None:
    wanted = store.save(*draw(model="phoenix-1.0"))
    store.save(*draw(model="mini"))
    for spelling in ("phoenix-1.0", "Phoenix-1-0"):
        page = store.list(10, model=spelling)
        assert (list(page.items), page.total) == ([wanted], 1)
    assert store.list(10, model="nobody").total == 0


def test_a_gallery_opened_again_has_everything(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    store.close()
    again = GalleryStore(root)
    again.start()
    assert (again.get(record.id), again.open(record.id), again.count()) == (record, png, 1)
    again.close()


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


def test_a_lost_mount_does_not_empty_the_index(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    aside = root.rename(root.with_name("unmounted"))
    with pytest.raises(NotFound):
        store.open(record.id)
    aside.rename(root)
    assert store.open(record.id) == png


@pytest.mark.parametrize("image_id", TRAVERSALS)
@pytest.mark.parametrize("method", ["get", "open", "thumbnail", "delete"])
def test_an_id_that_is_none_never_touches_the_disk(
    method: str, image_id: str, store: GalleryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_: object, **__: object) -> None:
        pytest.fail("the disk was touched")

    with monkeypatch.context() as patched:
        for name in ("open", "stat", "lstat", "unlink"):
            patched.setattr(os, name, touched)
        patched.setattr(io, "open", touched)
        with pytest.raises(NotFound):
            getattr(store, method)(image_id)


@pytest.mark.parametrize("filename", ["../../evil.png", "/etc/evil.png", "a.png", "", "generated_image_x.png\0"])
def test_a_strange_file_name_is_replaced_by_one_of_ours(
    filename: str, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record, png = draw()
    kept = store.save(replace(record, filename=filename), png)
    assert kept == record
    assert picture_file(root, record).read_bytes() == png
    assert store.get(record.id) == record


@pytest.mark.parametrize("image_id", TRAVERSALS)
def test_a_picture_with_a_strange_id_is_refused(image_id: str, store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    with pytest.raises(StorageError, match="none of ours"):
        store.save(replace(record, id=image_id), png)
    assert not list(root.rglob("*.png"))


@pytest.mark.parametrize("path", ["../outside.png", "2026/11/23/../../../../outside.png", "/etc/passwd"])
def test_a_path_in_the_index_that_leads_outside_is_refused(
    path: str, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record, png = draw()
    store.save(record, png)
    run_sql(root, "UPDATE pictures SET path = ?", path)
    outside = root.parent / "outside.png"
    outside.write_bytes(b"secret")
    for method in (store.open, store.delete, store.thumbnail):
        with pytest.raises(StorageError, match="leads outside the gallery"):
            method(record.id)
    assert outside.read_bytes() == b"secret"


def test_a_symbolic_link_out_of_the_gallery_is_not_followed(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    outside = root.parent / "secret"
    outside.write_bytes(b"secret")
    file = picture_file(root, record)
    file.unlink()
    file.symlink_to(outside)
    with pytest.raises(StorageError, match="leads outside the gallery"):
        store.open(record.id)
    assert store.reindex().indexed == 0


def test_a_dated_folder_that_is_a_link_out_of_the_gallery_takes_no_picture(
    store: GalleryStore, root: Path, draw: Draw
) -> None:
    outside = root.parent / "elsewhere"
    outside.mkdir()
    (root / "2026").symlink_to(outside, target_is_directory=True)
    with pytest.raises(StorageError, match="a symbolic link leads outside"):
        store.save(*draw())
    assert not list(outside.rglob("*.png"))


def test_an_id_is_taken_only_once(store: GalleryStore, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    with pytest.raises(StorageError, match="already stored"):
        store.save(record, b"other bytes")
    assert store.open(record.id) == png


def test_a_file_that_is_there_already_is_never_written_over(store: GalleryStore, root: Path, draw: Draw) -> None:
    first, png = draw()
    store.save(first, png)
    second = replace(draw()[0], filename=first.filename)
    with pytest.raises(StorageError, match="File exists"):
        store.save(second, b"other bytes")
    assert store.open(first.id) == png
    assert store.count() == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 2**63}, "seed 9223372036854775808 does not fit"), ({"prompt": "\ud83d"}, "prompt holds half")],
)
def test_a_record_that_sqlite_cannot_hold_is_refused_before_anything_is_written(
    change: dict[str, object], named: str, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record, png = draw()
    with pytest.raises(StorageError, match=named):
        store.save(replace(record, **change), png)  # type: ignore[arg-type]
    assert not list(root.rglob("*.png"))


def test_a_thumbnail_is_made_once_and_kept(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    assert not list(root.rglob("*.webp"))
    made = store.thumbnail(record.id)
    (kept,) = root.rglob("*.webp")
    assert kept.read_bytes() == made
    kept.write_bytes(b"the kept one")
    assert store.thumbnail(record.id) == b"the kept one"


def test_a_thumbnail_is_of_the_side_the_settings_ask_for(root: Path, draw: Draw) -> None:
    record, png = draw()
    for side in (32, 16):
        store = GalleryStore(root, thumbnail_side=side)
        store.start()
        if not store.count():
            store.save(record, png)
        with Image.open(io.BytesIO(store.thumbnail(record.id))) as small:
            assert (small.format, small.width) == ("WEBP", side)
        store.close()


def test_a_thumbnail_is_answered_even_where_it_cannot_be_kept(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    (root / ".thumbnails").write_bytes(b"a file in the way")
    with Image.open(io.BytesIO(store.thumbnail(record.id))) as small:
        assert small.size == (64, 48)


def test_a_damaged_picture_has_no_thumbnail(store: GalleryStore, draw: Draw) -> None:
    record, _ = draw()
    store.save(record, b"no picture")
    with pytest.raises(StorageError, match="Not a readable PNG"):
        store.thumbnail(record.id)


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


def test_a_gallery_that_cannot_be_written_says_so_at_the_start(tmp_path: Path) -> None:
    in_the_way = tmp_path / "gallery"
    in_the_way.write_text("not a folder")
    with pytest.raises(ConfigurationError, match=r"gallery: the gallery cannot be written: .*; .*\] root") as caught:
        GalleryStore(in_the_way).start()
    assert "\n" not in caught.value.message


def test_a_read_only_gallery_says_so_at_the_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigurationError, match="Read-only file system; mount it writable or set"):
        GalleryStore(root).start()


def test_a_store_that_was_not_started_says_so(root: Path) -> None:
    with pytest.raises(StorageError, match=r"not started; call start\(\)"):
        GalleryStore(root).get(new_image_id())


def test_a_start_removes_what_a_crash_left_and_nothing_else(root: Path) -> None:
    day = root / "2026/11/23"
    thumbnails = root / ".thumbnails/256/2026/11/23"
    stale = [folder / ".left.png.tmp" for folder in (root, day, thumbnails)]
    fresh, foreign = day / ".being_written.png.tmp", day / "notes.tmp"
    for path in (*stale, fresh, foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    for path in (*stale, foreign):
        os.utime(path, (0, path.stat().st_mtime - STALE_AFTER_S - 1))
    store = GalleryStore(root)
    store.start()
    store.close()
    assert not [path for path in stale if path.exists()]
    assert fresh.exists() and foreign.exists()

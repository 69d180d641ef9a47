"""Starting, and thumbnails."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from visioncraft import ConfigurationError, ImageRecord, StorageError
from visioncraft.types.ids import new_image_id
from visioncraft_gallery_fs.files.durable import STALE_AFTER_S
from visioncraft_gallery_fs.settings import GallerySettings
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


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
        store = GalleryStore(root, GallerySettings(thumbnail_side=side))
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


def test_a_reindex_removes_what_crashes_left_in_folders_of_any_age(store: GalleryStore, root: Path) -> None:
    for day in range(1, 9):
        left = root / f"2019/01/0{day}/.left.json.1-2.tmp"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"half")
        os.utime(left, (0, left.stat().st_mtime - STALE_AFTER_S - 1))
    store.reindex()
    assert not list(root.rglob("*.tmp"))

"""The gallery in memory."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image
from visioncraft import GalleryQuery, ImageRecord, NotFound, StorageError, encode_png
from visioncraft.ids import image_filename, new_image_id
from visioncraft.stores import MemoryStore

START = datetime(2026, 11, 23, tzinfo=UTC)


def record(second: int = 0, model: str = "mini") -> ImageRecord:
    image_id, moment = new_image_id(), START + timedelta(seconds=second)
    filename = image_filename(image_id, moment)
    return ImageRecord(image_id, filename, "a prompt", "", model, 1, 8, 8, 0.1, 0.0, moment)


def test_a_picture_comes_back_byte_for_byte() -> None:
    store, saved = MemoryStore(), record()
    assert store.save(saved, b"bytes") == saved
    assert store.get(saved.id) == saved
    assert store.open(saved.id) == b"bytes"
    assert store.count() == 1


def test_pages_are_newest_first_whatever_the_order_of_saving() -> None:
    store = MemoryStore()
    saved = [store.save(record(second), b"") for second in (3, 1, 4, 2, 0)]
    newest = sorted(saved, key=lambda each: each.created_at, reverse=True)
    page = store.list(2)
    assert (list(page.items), page.total, bool(page.next_cursor)) == (newest[:2], 5, True)
    page = store.list(2, 4)
    assert (list(page.items), page.total, page.next_cursor) == (newest[4:], 5, None)
    assert list(store.list(2, 9).items) == []
    assert list(store.list(0).items) == []


def test_a_model_is_found_under_every_spelling_of_its_id() -> None:
    store = MemoryStore()
    wanted = store.save(record(model="phoenix-1.0"), b"")
    store.save(record(model="mini"), b"")
    for spelling in ("phoenix-1.0", "Phoenix-1-0"):
        page = store.list(10, query=GalleryQuery(model=spelling))
        assert (list(page.items), page.total) == ([wanted], 1)


def test_the_picture_saved_first_makes_room_for_the_newest() -> None:
    store = MemoryStore(capacity=2)
    first, second, third = (store.save(record(second), b"") for second in range(3))
    assert list(store.list(10).items) == [third, second]
    with pytest.raises(NotFound, match=first.id):
        store.open(first.id)


def test_a_deleted_picture_is_gone() -> None:
    store, saved = MemoryStore(), record()
    store.save(saved, b"")
    store.delete(saved.id)
    for method in (store.get, store.open, store.delete):
        with pytest.raises(NotFound, match=saved.id):
            method(saved.id)
    assert store.count() == 0


def test_an_id_is_taken_only_once() -> None:
    store, saved = MemoryStore(), record()
    store.save(saved, b"first")
    with pytest.raises(StorageError, match="already stored"):
        store.save(saved, b"second")
    assert store.open(saved.id) == b"first"


def test_a_store_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MemoryStore(capacity=0)


def test_a_thumbnail_is_made_from_the_picture() -> None:
    store, saved = MemoryStore(), record()
    store.save(saved, encode_png(np.zeros((512, 1024, 3), np.uint8)))
    with Image.open(io.BytesIO(store.thumbnail(saved.id))) as small:
        assert (small.format, small.size) == ("WEBP", (256, 128))


def test_threads_may_save_list_and_delete_at_once() -> None:
    store = MemoryStore(capacity=50)

    def work(number: int) -> None:
        for second in range(40):
            saved = store.save(record(second), b"x")
            store.list(10, offset=number)
            if second % 2:
                try:
                    store.delete(saved.id)
                except NotFound:
                    assert store.count() <= 50  # newer pictures had pushed it out

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert store.count() == store.list(1000).total <= 50

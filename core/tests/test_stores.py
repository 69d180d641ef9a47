"""The gallery in memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from visioncraft import ImageStore, NotFound
from visioncraft.testing import ImageStoreContract, MemoryStore, a_picture, overridden


class TestMemoryStore(ImageStoreContract):
    """The core's own store keeps the contract, but for what memory cannot."""

    @pytest.fixture
    def make_store(self) -> type[MemoryStore]:
        return MemoryStore

    @overridden("it keeps pictures until the server ends and no longer, and says so in the log")
    def test_a_store_opened_again_has_everything(self, store: ImageStore, make_store: Callable[[], ImageStore]) -> None:
        store.save(*a_picture())
        assert make_store().count() == 0


def test_the_picture_saved_first_makes_room_for_the_newest() -> None:
    store = MemoryStore(capacity=2)
    first, second, third = (store.save(*a_picture(second)) for second in range(3))
    assert list(store.list(10).items) == [third, second]
    with pytest.raises(NotFound, match=first.id):
        store.open(first.id)


def test_a_store_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MemoryStore(capacity=0)


def test_threads_may_save_list_and_delete_at_once() -> None:
    store = MemoryStore(capacity=50)

    def work(number: int) -> None:
        for second in range(40):
            saved = store.save(*a_picture(second))
            store.list(10, offset=number)
            if second % 2:
                try:
                    store.delete(saved.id)
                except NotFound:
                    assert store.count() <= 50  # newer pictures had pushed it out

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert store.count() == store.list(1000).total <= 50

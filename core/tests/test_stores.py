"""The gallery in memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from visioncraft import ImageStore, NotFound, hookimpl
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


class Cloud(MemoryStore):
    """A store whose images clients fetch elsewhere."""

    name = "cloud"

    def url(self, image_id: str) -> str | None:
        return f"https://images.example/{self.get(image_id).filename}?signature=1"


def test_a_store_may_send_clients_elsewhere_and_is_taken_before_the_one_in_memory(
    visioncraft_client: Callable[..., Any],
) -> None:
    store = Cloud()

    class Plugin:
        @hookimpl
        def visioncraft_stores(self) -> list[ImageStore]:
            return [store]

    client = visioncraft_client(Plugin())
    kept = store.save(*a_picture())
    answer = client.get(f"/images/{kept.id}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, store.url(kept.id))
    assert client.get(f"/images/{kept.id[:-1]}x", follow_redirects=False).status_code == 404
    assert client.get("/status").json()["system_info"]["storage"] == "cloud"

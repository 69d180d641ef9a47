"""The shelf of loaded models that engines share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from visioncraft import ModelCache, free_memory_gb


class Item:
    resident_gb = 1.0

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_a_model_asked_for_by_many_at_once_loads_once() -> None:
    shelf: ModelCache[Item] = ModelCache()
    loads = []
    gate = threading.Barrier(8)

    def use(_: int) -> Item:
        gate.wait()
        with shelf.hold("a", lambda: loads.append(Item()) or loads[-1]) as item:  # type: ignore[func-returns-value]
            return item

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(use, range(8))) == {loads[0]}
    assert len(loads) == 1


def test_a_loaded_model_does_not_wait_for_the_load_of_another() -> None:
    shelf: ModelCache[Item] = ModelCache()
    with shelf.hold("a", Item):
        pass
    started, finish = threading.Event(), threading.Event()

    def slow_load() -> Item:
        started.set()
        assert finish.wait(10)
        return Item()

    with ThreadPoolExecutor(1) as pool:

        def load_b() -> None:
            with shelf.hold("b", slow_load):
                pass

        job = pool.submit(load_b)
        assert started.wait(10)
        with shelf.hold("a", Item) as item:
            assert not item.closed
        finish.set()
        job.result(10)
    assert shelf.ids() == ["b", "a"]


def test_a_load_that_fails_leaves_the_shelf_as_it_was() -> None:
    shelf: ModelCache[Item] = ModelCache()

    def fail() -> Item:
        raise OSError("damaged")

    with pytest.raises(OSError, match="damaged"), shelf.hold("a", fail):
        pass
    with shelf.hold("a", Item) as item:
        assert not item.closed
    assert shelf.ids() == ["a"]


def test_a_model_is_one_however_its_id_is_spelled_and_is_shown_as_it_was_last_asked_for() -> None:
    shelf: ModelCache[Item] = ModelCache()
    with shelf.hold("phoenix-1.0", Item) as first, shelf.hold("Phoenix-1-0", Item) as second:
        assert first is second
    assert shelf.ids() == ["Phoenix-1-0"]
    shelf.drop("phoenix-1.0")
    assert (shelf.ids(), first.closed) == ([], True)


def test_free_memory_of_this_machine_is_a_sane_number_of_gb() -> None:
    assert 0.05 < free_memory_gb() < 100_000


def test_what_was_put_in_a_models_place_is_loaded_and_the_old_one_leaves_with_its_last_holder() -> None:
    shelf: ModelCache[Item] = ModelCache()
    with shelf.hold("a", Item, version=1) as old:
        with shelf.hold("a", Item, version=2) as new:
            assert new is not old and not old.closed
        with shelf.hold("a", Item, version=2) as again:
            assert again is new
    assert old.closed and not new.closed
    assert shelf.ids() == ["a"]

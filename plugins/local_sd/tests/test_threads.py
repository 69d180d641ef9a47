"""How many threads compute, by the times that calls took: no clock and no torch are needed to know."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
from visioncraft_local_sd.batching.threads import Threads

Seconds = Callable[[int], float]


def alone(cores: int) -> Seconds:
    """A call on a machine where nothing else runs."""
    return lambda threads: 1 / min(threads, cores)


def beside(busy: int, cores: int) -> Seconds:
    """A call where other programs are busy on some of the cores: all threads wait for one that shares its core."""
    return lambda threads: (1 if threads <= cores - busy else 2) / min(threads, cores)


def crowded(threads: int) -> float:
    """A call on two cores that many programs want: what was seen with seven of them."""
    return {1: 1.5, 2: 5.0}[threads]


def drawn(threads: Threads, seconds: Seconds, calls: int, kind: Hashable = "a") -> list[int]:
    """Make calls that take what a machine needs for them; answers the numbers of threads they had."""
    used = []
    for _ in range(calls):
        used.append(threads.of(kind))
        threads.took(kind, seconds(used[-1]))
    return used


def cost(used: list[int], seconds: Seconds, best: int) -> float:
    """What the calls took over what they would have taken with the best number."""
    return sum(map(seconds, used)) / (len(used) * seconds(best))


@pytest.mark.parametrize("cores", [2, 4, 16])
def test_where_nothing_else_runs_every_core_computes_and_looking_for_less_costs_little(cores: int) -> None:
    threads = Threads(cores)
    drawn(threads, alone(cores), 100)
    assert threads.count == cores
    assert cost(drawn(threads, alone(cores), 2000), alone(cores), cores) < 1.05


def test_where_every_core_is_wanted_by_others_few_threads_are_found_within_a_picture() -> None:
    threads = Threads(2)
    drawn(threads, alone(2), 100)
    assert cost(drawn(threads, crowded, 20), crowded, 1) < 2
    assert threads.count == 1


def test_a_machine_that_is_busy_from_the_start_is_found_out_too() -> None:
    threads = Threads(2)
    assert cost(drawn(threads, crowded, 20), crowded, 1) < 2
    assert threads.count == 1


@pytest.mark.parametrize("cores", [2, 16])
def test_once_it_is_quiet_again_every_core_computes(cores: int) -> None:
    threads = Threads(cores)
    drawn(threads, lambda number: 1.5 if number == 1 else 5.0, 500)
    assert threads.count == 1
    drawn(threads, alone(cores), 400)
    assert threads.count == cores


@pytest.mark.parametrize("busy", [1, 4, 8])
def test_the_cores_that_others_leave_compute(busy: int) -> None:
    threads = Threads(16)
    drawn(threads, beside(busy, 16), 300)
    assert beside(busy, 16)(threads.count) == min(beside(busy, 16)(number) for number in range(1, 17))


def test_a_call_that_was_held_up_alone_changes_nothing() -> None:
    threads = Threads(2)
    drawn(threads, alone(2), 1000)
    assert drawn(threads, lambda number: 10.0, 1) == [2]
    assert drawn(threads, alone(2), 20) == [2] * 20


def test_calls_are_compared_with_their_own_kind_only() -> None:
    threads = Threads(2)
    for _ in range(400):
        drawn(threads, alone(2), 1, "small")
        drawn(threads, lambda number: 40 * alone(2)(number), 1, "large")
    assert threads.count == 2


def test_a_kind_that_comes_no_more_ends_no_others_search() -> None:
    threads = Threads(2)
    drawn(threads, alone(2), 4, "gone")
    assert threads.settled is None, "a search has begun"
    drawn(threads, crowded, 60, "next")
    assert threads.count == 1


def test_a_number_that_was_asked_for_stays() -> None:
    threads = Threads(2, chosen=False)
    assert set(drawn(threads, crowded, 200)) == {2}


def test_one_core_needs_no_search() -> None:
    assert set(drawn(Threads(1), alone(1), 200)) == {1}


def test_a_change_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    drawn(Threads(2), crowded, 20)
    assert caplog.messages == ["drawing with 1 of 2 processor threads, which is faster now"]

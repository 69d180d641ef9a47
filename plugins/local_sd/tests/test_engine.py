"""The engine: who shares a call, whose turn it is, and whom an error reaches."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from together import held, until_waiting
from visioncraft import GenerationFailed
from visioncraft_local_sd.batching import engine as engine_module
from visioncraft_local_sd.batching.engine import Engine, Work
from visioncraft_local_sd.batching.threads import Threads


@dataclass
class Counted:
    """A call that says who made it together; fails for those named in `bad`."""

    who: str
    kind: str
    log: list[tuple[str, ...]]
    bound: int = 8
    weight: int = 1
    bad: Sequence[str] = ()

    @property
    def key(self) -> str:
        return self.kind

    def together(self, calls: Sequence[Counted]) -> Sequence[str]:
        if names := [call.who for call in calls if call.who in self.bad]:
            raise ValueError(f"{', '.join(names)} cannot be computed")
        self.log.append(tuple(call.who for call in calls))
        return [f"{call.who}!" for call in calls]

    def crowded(self, weight: int, error: Exception) -> None:
        self.log.append(("crowded", str(weight)))


@dataclass
class House:
    """An engine and what it computed."""

    engine: Engine = field(default_factory=Engine)
    log: list[tuple[str, ...]] = field(default_factory=list)

    def work(self, who: str, steps: int, kind: str = "a", **more: Any) -> Work[list[str]]:
        answers = []
        for _ in range(steps):
            answers.append((yield Counted(who, kind, self.log, **more)))
        return answers

    def at_once(self, *works: Work[Any]) -> list[Any]:
        """What each work answers, or the error it ends with, all of them having come before the next step."""
        with held(self.engine, len(works)), ThreadPoolExecutor(len(works)) as pool:
            return list(pool.map(self._outcome, works))

    def _outcome(self, work: Work[Any]) -> Any:
        try:
            return self.engine.run(work)
        except Exception as error:
            return error


def test_requests_share_a_call_each_step_and_leave_when_they_are_done() -> None:
    house = House()
    assert house.at_once(house.work("x", 3), house.work("y", 1), house.work("z", 2)) == [["x!"] * 3, ["y!"], ["z!"] * 2]
    assert [len(names) for names in house.log] == [3, 2, 1]


def test_a_request_joins_at_the_next_step_of_one_that_runs() -> None:
    house = House()
    running = house.work("long", 4)

    pool = ThreadPoolExecutor(1)

    def long() -> Work[None]:
        yield next(running)
        pool.submit(house.engine.run, house.work("late", 2))
        until_waiting(house.engine, 1)
        yield from running

    with pool:
        house.engine.run(long())
    assert house.log == [("long",), *[("long", "late")] * 2, ("long",)]


def test_every_shape_has_a_step_in_turn_so_that_a_short_request_passes_a_long_one() -> None:
    house = House()
    house.at_once(house.work("long", 6, "a"), house.work("short", 2, "b"))
    assert house.log.index(("short",)) <= 1
    assert house.log[:4].count(("short",)) == 2


def test_where_not_all_fit_into_a_call_those_that_waited_longest_go_first() -> None:
    house = House()
    house.at_once(*(house.work(name, 2, bound=2) for name in "uvw"))
    assert [len(names) for names in house.log] == [2, 2, 2]
    assert {name: sum(name in names for names in house.log) for name in "uvw"} == {"u": 2, "v": 2, "w": 2}
    assert set(house.log[0]) | set(house.log[1]) == set("uvw")


def test_a_call_that_fails_together_is_made_for_each_alone_and_only_the_culprit_fails() -> None:
    house = House()
    outcomes = house.at_once(*(house.work(name, 2, bad=["y"]) for name in "xyz"))
    assert [str(outcome) for outcome in outcomes] == ["['x!', 'x!']", "y cannot be computed", "['z!', 'z!']"]
    assert ("crowded", "3") in house.log


def test_an_error_in_one_requests_work_reaches_that_request_alone() -> None:
    house = House()

    def broken() -> Work[None]:
        yield Counted("broken", "a", house.log)
        raise GenerationFailed("no")

    outcomes = house.at_once(broken(), house.work("whole", 3))
    assert isinstance(outcomes[0], GenerationFailed)
    assert outcomes[1] == ["whole!"] * 3
    assert house.engine.call(lambda: "it goes on") == "it goes on"


def test_the_thread_that_computes_ends_with_the_work() -> None:
    engine = Engine()
    thread = engine.call(threading.current_thread)
    thread.join(10)
    assert not thread.is_alive()
    assert engine.call(threading.current_thread) is not thread


def test_one_that_lingers_computes_for_all_until_it_is_told_to_end() -> None:
    engine = Engine()
    engine.lingers = True
    thread = engine.call(threading.current_thread)
    assert engine.call(threading.current_thread) is thread
    engine.close()
    thread.join(10)
    assert not thread.is_alive()
    assert engine.call(threading.current_thread) is not thread
    engine.close()


def test_one_that_lingers_ends_when_nothing_came_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_LINGER_S", 0.01)
    engine = Engine()
    engine.lingers = True
    thread = engine.call(threading.current_thread)
    thread.join(10)
    assert not thread.is_alive()
    assert engine.call(threading.current_thread) is not thread


def test_each_call_is_made_with_the_number_of_threads_that_its_time_shall_tell_of() -> None:
    import torch

    class Tried(Threads):
        def of(self, kind: Hashable) -> int:
            return 2

        def took(self, kind: Hashable, seconds: float) -> None:
            told.append(kind)

    class Asking(Counted):
        def together(self, calls: Sequence[Counted]) -> Sequence[str]:
            used.append(torch.get_num_threads())
            return super().together(calls)

    before, used, told = torch.get_num_threads(), list[int](), list[Hashable]()
    engine = Engine()
    engine.threads = Tried(1)

    def work() -> Work[int]:
        yield Asking("x", "a", [], weight=2)
        return torch.get_num_threads()

    try:
        assert engine.run(work()) == 1, "whatever is no shared call has the number that was found"
        assert (used, told) == ([2], [("a", 2)])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("environment", "chosen"), [({}, True), ({"OMP_NUM_THREADS": "2"}, False)])
def test_a_number_that_the_environment_names_is_not_changed(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], chosen: bool
) -> None:
    import torch

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    before, engine = torch.get_num_threads(), Engine()
    torch.set_num_threads(2)
    try:
        engine.call(lambda: None)
        assert engine.threads is not None
        for _ in range(20):
            engine.threads.took("a", 5.0 if engine.threads.of("a") == 2 else 1.0)
        assert engine.threads_in_use() == {"threads": 1 if chosen else 2, "most_threads": 2}
    finally:
        torch.set_num_threads(before)


def test_torch_computes_with_as_many_threads_as_settings_say() -> None:
    import torch

    before = torch.get_num_threads()
    engine = Engine(threads=3)
    try:
        assert engine.call(torch.get_num_threads) == 3
    finally:
        engine.close()
        torch.set_num_threads(before)

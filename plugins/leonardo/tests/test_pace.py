"""Leonardo.ai's limits kept on a clock that the test turns."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from selectors import BaseSelector, DefaultSelector
from typing import Any

from visioncraft_leonardo.pace import Pace
from visioncraft_leonardo.settings import LeonardoSettings


class _NoWaiting(DefaultSelector):
    """Instead of waiting for a timer, turns the clock to it; like any clock it never quite stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += max(timeout or 0.0, 1e-6)
        return super().select(0)


class TurnedClock(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._turned = _NoWaiting()
        selector: BaseSelector = self._turned
        super().__init__(selector)

    def time(self) -> float:
        return self._turned.now


def test_no_minute_sees_more_posts_than_leonardo_takes_and_none_is_wasted() -> None:
    sent: list[float] = []

    async def post(pace: Pace) -> None:
        await pace.posts.acquire()
        sent.append(asyncio.get_running_loop().time())

    async def all_of_them() -> None:
        pace = Pace(LeonardoSettings())
        await asyncio.gather(*(post(pace) for _ in range(400)))

    with asyncio.Runner(loop_factory=TurnedClock) as runner:
        runner.run(all_of_them())
    busiest = max(bisect_left(sent, moment + 60) - number for number, moment in enumerate(sent))
    assert busiest <= 100
    assert sent[9] < 0.001, "ten go at once"
    assert sent[-1] < 300, "400 posts take little more than four minutes"

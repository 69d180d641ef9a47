"""The routes under `/fake` that steer the fake engine: permits for its steps, and what it has seen."""

from __future__ import annotations

from collections import Counter
from threading import Condition
from typing import Annotated, Any

from fastapi import APIRouter, Body
from visioncraft.testing import PATIENCE_S


class Gates:
    """Steps wait for permits that tests hand out; tests wait for steps. No clock is involved."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._permits: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()

    def permit(self, name: str, count: int) -> None:
        with self._changed:
            self._permits[name] += count
            self._changed.notify_all()

    def pass_one(self, name: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._permits[name] > 0, timeout=PATIENCE_S)
            self._permits[name] -= 1
            self.steps[name] += 1
            self._changed.notify_all()

    def take(self, name: str) -> bool:
        with self._changed:
            left = self._permits[name] > 0
            self._permits[name] -= left
            return left

    def reached(self, name: str, step: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.steps[name] >= step, timeout=PATIENCE_S)


def routes(seen: list[dict[str, Any]], secret: str) -> APIRouter:
    """What `/fake` answers.

    Args:
        seen: What reached a generator, in their order.
        secret: What the route that crashes says.
    """
    router = APIRouter(prefix="/fake", include_in_schema=False)

    @router.get("/seen")
    def what_was_seen() -> list[dict[str, Any]]:
        return seen

    @router.post("/seen")
    def see(what: Annotated[dict[str, Any], Body()]) -> None:
        seen.append(what)

    @router.get("/crash")
    def crash() -> None:
        raise RuntimeError(secret)

    _add_gates(router, Gates())
    return router


def _add_gates(router: APIRouter, gates: Gates) -> None:
    """The routes by which the engine waits for permits, and tests for steps."""

    @router.post("/pass/{name}")
    def pass_one(name: str) -> None:
        gates.pass_one(name)

    @router.post("/take/{name}")
    def take(name: str) -> bool:
        return gates.take(name)

    @router.post("/permits/{name}/{count}")
    def permit(name: str, count: int) -> None:
        gates.permit(name, count)

    @router.get("/steps/{name}")
    def steps(name: str) -> int:
        return gates.steps[name]

    @router.get("/reached/{name}/{step}")
    def reached(name: str, step: int) -> bool:
        return gates.reached(name, step)

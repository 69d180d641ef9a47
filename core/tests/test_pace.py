"""How long a job will still take: estimates that begin with what earlier ones took, and never jump."""

from __future__ import annotations

from itertools import pairwise

import pytest
from visioncraft.jobs.job import Job, Order
from visioncraft.jobs.pace import Pace
from visioncraft.jobs.queue import GeneratorQueue
from visioncraft.types.generation import GenerationRequest
from visioncraft.types.models import ModelInfo

MODEL = ModelInfo(id="m", name="M", engine="e")


def estimates(loading: float, encoding: float, step: float, steps: int, usual: float) -> list[float]:
    """What is told after loading, at each step's end, and last when only decoding is left."""
    pace, now = Pace(100.0), 100.0
    pace.note("loading", 0, now)
    told = [pace.left(steps, usual, now)]
    now += loading
    told.append(pace.left(steps, usual, now))
    pace.note("encoding prompt", 0, now)
    now += encoding
    for number in range(1, steps + 1):
        now += step
        pace.note("drawing", number, now)
        told.append(pace.left(steps, usual, now))
    assert pace.spent(now) == pytest.approx(encoding + steps * step)
    return told


@pytest.mark.parametrize("loading", [0.0, 30.0])
@pytest.mark.parametrize("encoding", [0.0, 3.0])
@pytest.mark.parametrize("step", [0.05, 0.2, 1.0])
def test_an_estimate_moves_little_from_step_to_step_however_long_loading_took(
    loading: float, encoding: float, step: float
) -> None:
    told = estimates(loading, encoding, step, steps=20, usual=5.0)
    whole = max(5.0, 20 * step)
    assert told[0] == told[1] == 5.0  # loading is no progress, and no delay either
    jumps = [abs(later - before) for before, later in pairwise(told[1:])]
    assert max(jumps) <= 0.25 * whole
    assert told[-1] == 0.0 and 2 * step < told[-5] < 4 * step + 1


def test_a_job_that_begins_anew_is_measured_anew() -> None:
    pace = Pace(0.0)
    pace.note("drawing", 1, 1.0)
    pace.note("drawing", 2, 2.0)
    pace.note("starting again", 0, 3.0)
    assert pace.left(10, 8.0, 50.0) == 8.0
    pace.note("drawing", 1, 60.0)
    assert pace.left(10, 8.0, 60.0) == pytest.approx(8.0 * 0.9)


def test_five_hundred_waiting_jobs_are_ordered_once_and_not_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = GeneratorQueue("e", 1)
    lane.waiting = [Job(f"job_{n}", GenerationRequest("x", MODEL), Order(f"client {n % 7}")) for n in range(500)]
    calls: list[int] = []
    order = GeneratorQueue.order

    def counted(lane: GeneratorQueue) -> list[Job]:
        calls.append(1)
        return order(lane)

    monkeypatch.setattr(GeneratorQueue, "order", counted)
    places = [lane.places()[job][0] for job in order(lane)]
    assert places == [*range(1, 501)] and len(calls) == 1
    left = [lane.eta_s(job) for job in order(lane)]
    assert left == sorted(left) and len(calls) == 1
    first = lane.next()
    assert first not in lane.places() and len(lane.places()) == 499 and len(calls) == 2

"""Other people's money: one generation a job at most, none lost, none charged twice, whatever the weather."""

from __future__ import annotations

import asyncio
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import StandIn
from visioncraft import (
    GeneratedImage,
    GenerationRequest,
    JobCancelled,
    RateLimitExceeded,
    ServiceUnavailable,
    UpstreamError,
    VisionCraftError,
)
from visioncraft_leonardo.generator import LeonardoGenerator
from visioncraft_leonardo.ledger import Ledger, State

Make = Callable[..., LeonardoGenerator]
Ask = Callable[..., GenerationRequest]
SEQUENCES = int(os.environ.get("VISIONCRAFT_LEONARDO_FAULTS", "60"))
"""How many random fault sequences run; the long form is `make soak`."""


@pytest.mark.parametrize("fault", ["lost", "502 after", "json", "drip", "504 after"])
def test_an_order_whose_answer_was_lost_is_found_and_not_sent_again(
    fault: str, standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    standin.fault("order", fault)
    image = asyncio.run(make(request_timeout_s=0.5).run(ask(), told))
    assert image.width == 64
    assert (len(standin.generations), standin.asked["order"]) == (1, 1)
    assert "looking for the order" in told.stages


@pytest.mark.parametrize("fault", ["reset", "502", "redirect http://127.0.0.1:1/", "503"])
def test_an_order_of_unknown_fate_that_is_nowhere_ends_as_unknown_and_is_not_sent_again(
    fault: str, standin: StandIn, make: Make, ask: Ask, told: Any, tmp_path: Path
) -> None:
    standin.fault("order", fault)
    request = ask()
    for _ in range(2):
        with pytest.raises(UpstreamError, match="unknown whether") as caught:
            asyncio.run(make().run(request, told))
        assert "send the request again" in str(caught.value.details["suggestion"])
    assert (len(standin.generations), standin.asked["order"]) == (0, 1)
    found = Ledger(tmp_path / "leonardo.sqlite3").find(request.job_id)
    assert found is not None and found.state is State.UNKNOWN


def test_a_refusal_for_now_is_waited_out(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    standin.fault("order", "429", "429 0")
    asyncio.run(make().run(ask(), told))
    assert (len(standin.generations), standin.asked["order"]) == (1, 3)


def test_a_refusal_for_long_is_passed_on_with_its_time(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    standin.fault("order", "429 900")
    with pytest.raises(RateLimitExceeded) as caught:
        asyncio.run(make().run(ask(), told))
    assert caught.value.retry_after == 900
    assert not standin.generations


def test_where_nobody_listens_nothing_is_in_doubt_and_after_a_while_nobody_asks(
    make: Make, ask: Ask, told: Any, tmp_path: Path
) -> None:
    generator = make(base_url="http://127.0.0.1:9/api", attempts=2, breaker_failures=4)
    request = ask()

    async def both() -> None:
        for words in ("cannot be reached", "cannot be reached", "asked again in"):
            with pytest.raises(ServiceUnavailable, match=words):
                await generator.run(request, told)

    asyncio.run(both())
    assert Ledger(tmp_path / "leonardo.sqlite3").find(request.job_id) is None


def test_bad_weather_after_the_order_costs_time_only(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    standin.fault("generation", "reset", "502", "429", "json", "429 0", "drip", "lost")
    standin.fault("picture", "truncated", "reset", "503")
    asyncio.run(make(request_timeout_s=0.5).run(ask(), told))
    assert (len(standin.generations), standin.asked["order"]) == (1, 1)


def test_a_job_that_runs_again_fetches_what_it_ordered(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    request = ask()
    first, second = (asyncio.run(make().run(request, told)) for _ in range(2))
    assert first.facts == second.facts
    assert standin.asked["order"] == 1


def test_equal_orders_whose_answers_were_lost_do_not_share_a_generation(
    standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    standin.fault("order", "lost", "lost", "", "lost")
    requests = [ask("twins", seed=5) for _ in range(4)]

    async def all_of_them() -> list[GeneratedImage]:
        generator = make()
        return list(await asyncio.gather(*(generator.run(request, told) for request in requests)))

    drawn = {image.facts["leonardo"]["generation"] for image in asyncio.run(all_of_them())}
    assert drawn == set(standin.generations) and len(drawn) == 4


def test_the_daily_budget_refuses_before_anything_is_sent(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    settings = {"daily_budget": 0.07, "assumed_cost": 0.05}
    asyncio.run(make(**settings).run(ask(), told))
    asyncio.run(make(**settings).run(ask(), told))  # by what was paid: 0.0147 twice, then 0.0147 each
    with pytest.raises(RateLimitExceeded, match=r"daily budget of 0\.07 does not allow .*0\.0294 is spent") as caught:
        asyncio.run(make(**settings).run(ask(aspect_ratio="16:9"), told))
    assert 0 < caught.value.retry_after <= 86400
    assert standin.asked["order"] == 2


def test_budgets_hold_when_many_ask_at_once(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    generator = make(daily_budget=0.06, assumed_cost=0.05)

    async def all_of_them() -> list[Any]:
        requests = [generator.run(ask(f"budget {n}"), told) for n in range(9)]
        return await asyncio.gather(*requests, return_exceptions=True)

    outcomes = asyncio.run(all_of_them())
    refused = [each for each in outcomes if isinstance(each, RateLimitExceeded)]
    assert 0.0147 * len(standin.generations) <= 0.06 and refused
    assert len(refused) + len(standin.generations) == 9


@pytest.mark.parametrize("at", ["ordering", "pending", "fetching"])
def test_a_cancelled_job_is_deleted_upstream(
    at: str, standin: StandIn, make: Make, ask: Ask, told: Any, tmp_path: Path
) -> None:
    request = ask()

    async def cancelled() -> None:
        task = asyncio.create_task(make().run(request, told))

        def cancel(stage: str) -> None:
            if stage == at:
                asyncio.get_running_loop().call_soon(_cancel, task, told)

        told.on_stage = cancel
        with pytest.raises((asyncio.CancelledError, JobCancelled)):
            await task

    asyncio.run(cancelled())
    assert standin.deleted == list(standin.generations)
    if standin.generations:
        found = Ledger(tmp_path / "leonardo.sqlite3").find(request.job_id)
        assert found is not None and found.state is State.CANCELLED
        told.on_stage, told.cancelled = None, False
        with pytest.raises(JobCancelled):
            asyncio.run(make().run(request, told))


def _cancel(task: asyncio.Task[Any], told: Any) -> None:
    told.cancelled = True
    task.cancel()


def test_a_server_that_ends_leaves_the_order_and_goes_on_with_it(
    standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    request = ask()

    async def ended() -> None:
        task = asyncio.create_task(make().run(request, told))
        told.on_stage = lambda stage: stage == "pending" and task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ended())
    told.on_stage = None
    asyncio.run(make().run(request, told))
    assert (standin.deleted, standin.asked["order"]) == ([], 1)


def test_the_ledger_is_private(make: Make, ask: Ask, told: Any, tmp_path: Path) -> None:
    asyncio.run(make().run(ask(), told))
    files = [file for file in tmp_path.iterdir() if file.name.startswith("leonardo.sqlite3")]
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


_ON_ORDER = ("", "", "lost", "reset", "502", "502 after", "503", "429", "429 0", "json", "failed", "moderation")
_ON_LOOK = ("", "", "", "reset", "lost", "502", "429", "json", "503")
_ON_PICTURE = ("", "", "reset", "truncated", "503", "lost")


async def _weathered(seed: int, standin: StandIn, make: Make, ask: Ask, told: Any) -> tuple[int, Any]:
    """A job in random weather: faults, and up to three ends of the server amid it, each followed by a new start."""
    dice = random.Random(seed)
    prompt = f"sequence {seed}"
    request = ask(prompt, seed=seed)
    for route, faults in (("order", _ON_ORDER), ("generation", _ON_LOOK), ("picture", _ON_PICTURE)):
        standin.fault(route, *dice.choices(faults, k=dice.randint(0, 4)), prompt=prompt)
    for route in ("me", "list"):
        standin.fault(route, *dice.choices(("", "reset", "502", "json"), k=dice.randint(0, 1)))
    for _ in range(dice.randint(0, 3)):
        task = asyncio.create_task(make().run(request, told))
        await asyncio.wait({task}, timeout=dice.uniform(0, 0.05))
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(outcome, asyncio.CancelledError):
            return seed, outcome
    return seed, (await asyncio.gather(make().run(request, told), return_exceptions=True))[0]


def test_random_fault_sequences_end_with_one_generation_a_job_at_most_and_none_lost(
    standin: StandIn, make: Make, ask: Ask, told: Any, tmp_path: Path
) -> None:
    standin.posts_a_minute = 10**6

    async def in_tens() -> list[tuple[int, Any]]:
        ended: list[tuple[int, Any]] = []
        for start in range(0, SEQUENCES, 10):
            seeds = range(start, min(start + 10, SEQUENCES))
            ended += await asyncio.gather(*(_weathered(seed, standin, make, ask, told) for seed in seeds))
        return ended

    ended = asyncio.run(in_tens())
    counts = {"drawn": 0, "unknown": 0, "failed": 0, "refused": 0}
    for seed, outcome in ended:
        made = [each for each in standin.generations.values() if each["prompt"].startswith(f"sequence {seed}")]
        made = [each for each in made if each["seed"] == seed]
        assert len(made) <= 1, (seed, "charged twice")
        assert isinstance(outcome, GeneratedImage | VisionCraftError), (seed, outcome)
        if isinstance(outcome, GeneratedImage):
            assert [each["id"] for each in made] == [outcome.facts["leonardo"]["generation"]]
            counts["drawn"] += 1
        elif made:
            assert made[0]["status"] == "FAILED", (seed, "lost", outcome, made)
            counts["failed"] += 1
        else:
            counts["unknown" if "unknown" in str(outcome) else "refused"] += 1
    ledger = Ledger(tmp_path / "leonardo.sqlite3")
    assert sum(counts.values()) == SEQUENCES and counts["drawn"] > SEQUENCES // 3, counts
    assert ledger.spent_today() >= 0.0147 * len(standin.generations) - 1e-6
    print(counts, "orders sent:", standin.asked["order"], "generations:", len(standin.generations))

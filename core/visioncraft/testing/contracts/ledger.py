"""What the core relies on in every ledger, as tests to inherit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from visioncraft.errors import GenerationFailed
from visioncraft.jobs.job import Job, JobState, Order
from visioncraft.jobs.ledger.contract import KeyTaken, Lease, LeaseLost, Ledger
from visioncraft.testing.contracts.base import Contract
from visioncraft.testing.contracts.store import a_picture
from visioncraft.types.generation import GenerationRequest
from visioncraft.types.ids import new_image_id, new_job_id
from visioncraft.types.models import ModelInfo

OpenLedger = Callable[[Lease], Ledger]
PassTime = Callable[[float], None]
Scene = Callable[[], Awaitable[None]]

LEASE_S = 30.0
FIRST, SECOND = Lease("first", LEASE_S), Lease("second", LEASE_S)

_MODEL = ModelInfo(id="ledger-model", name="Ledger model", engine="ledger")
_PATIENCE_S = 60


def a_job(prompt: str = "a red apple, 苹果", **order: Any) -> Job:
    """A job as it is accepted."""
    job_id = new_job_id()
    return Job(job_id, GenerationRequest(prompt, _MODEL, seed=2**63 - 1, job_id=job_id), Order(**order))


async def end(ledger: Ledger, job: Job) -> Job:
    """A job that ends well, written down."""
    job.start()
    job.image_id = new_image_id()
    job.end(replace(a_picture()[0], id=job.image_id))
    await ledger.put(job)
    return job


async def ids(jobs: Awaitable[list[Job]]) -> list[str]:
    """The ids of what a ledger answers."""
    return [job.id for job in await jobs]


def play(scene: Scene) -> None:
    """Run a scene within a bounded time."""
    asyncio.run(asyncio.wait_for(scene(), _PATIENCE_S))


class LedgerContract(Contract):
    """Inherit, and give the fixture `open_ledger`: each call opens a ledger on the same jobs, for the lease it gets.

    >>> import pytest
    >>> class TestMine(LedgerContract):
    ...     @pytest.fixture
    ...     def open_ledger(self):
    ...         return MyLedger
    """

    def test_an_accepted_job_comes_back_as_it_was_accepted(self, open_ledger: OpenLedger) -> None:
        """By its id and by its key; an unknown one is nowhere."""

        async def scene() -> None:
            ledger = open_ledger(FIRST)
            job = a_job(client="127.0.0.1", priority=3, key="k", fingerprint="f", warnings=("ink is not known",))
            await ledger.add(job)
            for found in (await ledger.get(job.id), await ledger.by_key("k")):
                assert found is not None and found is not job
                assert (found.id, found.request, found.order) == (job.id, job.request, job.order)
                assert (found.state, found.created_at) == (JobState.QUEUED, job.created_at)
            assert await ledger.get(new_job_id()) is None and await ledger.by_key("other") is None
            await ledger.close()

        play(scene)

    def test_a_key_is_taken_only_once(self, open_ledger: OpenLedger) -> None:
        """A second job under it is refused, and the first is whole."""

        async def scene() -> None:
            ledger = open_ledger(FIRST)
            job = a_job(key="k")
            await ledger.add(job)
            with pytest.raises(KeyTaken):
                await ledger.add(a_job(key="k"))
            found = await ledger.by_key("k")
            assert found is not None and found.id == job.id
            await ledger.close()

        play(scene)

    def test_how_a_job_ended_is_kept(self, open_ledger: OpenLedger) -> None:
        """Its record, or the error in its place."""

        async def scene() -> None:
            ledger = open_ledger(FIRST)
            well, badly = a_job(), a_job()
            await ledger.add(well)
            await ledger.add(badly)
            await end(ledger, well)
            badly.end(GenerationFailed("no ink"))
            await ledger.put(badly)
            found, failed = await ledger.get(well.id), await ledger.get(badly.id)
            assert found is not None and (found.state, found.record) == (JobState.SUCCEEDED, well.record)
            assert failed is not None and (failed.state, str(failed.error)) == (JobState.FAILED, "no ink")
            await ledger.close()

        play(scene)

    def test_jobs_are_listed_newest_first_and_live_ones_as_they_are(self, open_ledger: OpenLedger) -> None:
        """All of them, or those in one state."""

        async def scene() -> None:
            ledger = open_ledger(FIRST)
            jobs = [a_job(str(number)) for number in range(3)]
            for job in jobs:
                await ledger.add(job)
            await end(ledger, jobs[0])
            listed = await ledger.latest(2, None, {jobs[2].id: jobs[2]})
            assert [job.id for job in listed] == [jobs[2].id, jobs[1].id] and listed[0] is jobs[2]
            assert await ids(ledger.latest(9, "succeeded", {})) == [jobs[0].id]
            await ledger.close()

        play(scene)

    def test_only_jobs_that_ended_before_a_time_are_forgotten(self, open_ledger: OpenLedger) -> None:
        """Those that wait never are; nothing is said to be set aside."""

        async def scene() -> None:
            ledger = open_ledger(FIRST)
            waits, ended = a_job(), a_job()
            await ledger.add(waits)
            await ledger.add(ended)
            await end(ledger, ended)
            now = datetime.now(UTC)
            assert await ledger.forget(now - timedelta(hours=1)) == 0
            assert await ledger.forget(now + timedelta(hours=1)) == 1
            assert await ids(ledger.latest(9, None, {})) == [waits.id]
            assert await ledger.why_gone(ended.id) is None
            assert await ledger.set_aside(9, now - timedelta(hours=1)) == []
            await ledger.close()

        play(scene)

    def test_what_a_server_left_is_taken_over_by_the_next_in_the_order_of_coming(self, open_ledger: OpenLedger) -> None:
        """Queued and running alike, with the image's id; what ended is not, and a pause lasts."""

        async def scene() -> None:
            ledger = open_ledger(FIRST)
            assert await ledger.take_over() == [] and not await ledger.paused()
            jobs = [a_job(str(number)) for number in range(3)]
            for job in jobs:
                await ledger.add(job)
            await end(ledger, jobs[1])
            jobs[0].start()
            jobs[0].image_id = new_image_id()
            await ledger.put(jobs[0])
            await ledger.set_paused(True)
            await ledger.close()
            again = open_ledger(SECOND)
            left = await again.take_over()
            assert [(job.id, job.image_id) for job in left] == [(jobs[0].id, jobs[0].image_id), (jobs[2].id, None)]
            assert await again.paused()
            await again.close()

        play(scene)

    def test_a_server_holds_what_it_accepted_or_took_over_until_that_ends(self, open_ledger: OpenLedger) -> None:
        """Its heartbeat says so, and nothing of it is taken over once more."""

        async def scene() -> None:
            ledger = open_ledger(FIRST)
            left = a_job()
            await ledger.add(left)
            await ledger.close()
            ledger = open_ledger(SECOND)
            assert await ids(ledger.take_over()) == [left.id]
            new, ended = a_job(), a_job()
            await ledger.add(new)
            await ledger.add(ended)
            await end(ledger, ended)
            assert await ledger.heartbeat() == {left.id, new.id}
            assert await ledger.take_over() == []
            await ledger.close()

        play(scene)


class SharedLedgerContract(LedgerContract):
    """For a ledger that several servers use at once. Give the fixture `pass_time` as well: so many seconds go by."""

    def test_a_job_is_left_to_the_server_that_lives(self, open_ledger: OpenLedger, pass_time: PassTime) -> None:
        """Each heartbeat is good for another lease."""

        async def scene() -> None:
            first, second = open_ledger(FIRST), open_ledger(SECOND)
            assert first.shared
            job = a_job()
            await first.add(job)
            for _ in range(3):
                pass_time(LEASE_S * 0.9)
                assert await first.heartbeat() == {job.id}
                assert await second.take_over() == []
            assert await second.heartbeat() == frozenset()

        play(scene)

    def test_a_silent_servers_job_is_taken_over_once_and_its_own_word_counts_no_more(
        self, open_ledger: OpenLedger, pass_time: PassTime
    ) -> None:
        """So a job ends once."""

        async def scene() -> None:
            first, second, third = (open_ledger(Lease(name, LEASE_S)) for name in ("first", "second", "third"))
            job = a_job()
            await first.add(job)
            pass_time(LEASE_S * 1.1)
            assert await ids(second.take_over()) == [job.id]
            assert await third.take_over() == []
            assert await first.heartbeat() == frozenset()
            with pytest.raises(LeaseLost):
                await end(first, job)
            found = await third.get(job.id)
            assert found is not None and not found.ended

        play(scene)

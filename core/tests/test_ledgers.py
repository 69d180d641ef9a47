"""Ledgers: what each promises, held for ours and for one that a plugin brings, and two servers on one."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from shared_ledger import Memory, SharedLedger
from stepping import Coroutine, House as Plugin, Stepper, Waiter, here, play, submit
from visioncraft.errors import ConfigurationError
from visioncraft.gallery.memory import MemoryStore
from visioncraft.jobs.job import JobState
from visioncraft.jobs.ledger.contract import LedgerFactory
from visioncraft.jobs.ledger.sqlite import SqliteLedger
from visioncraft.jobs.upkeep import _repeat
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.plugins.manager import PluginManager
from visioncraft.runtime.runtime import Runtime
from visioncraft.settings import JobsSettings, Settings
from visioncraft.testing.contracts.ledger import LedgerContract, OpenLedger, PassTime, SharedLedgerContract

LEASE_S = 30.0


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


class TestSqlite(LedgerContract):
    """The core's own, in a file."""

    @pytest.fixture
    def open_ledger(self, tmp_path: Path) -> OpenLedger:
        return lambda _lease: SqliteLedger(tmp_path / "jobs.sqlite3")


class TestPluginsLedger(SharedLedgerContract):
    """One that a plugin brings."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def open_ledger(self, clock: Clock) -> OpenLedger:
        return partial(SharedLedger, Memory(clock=clock))

    @pytest.fixture
    def pass_time(self, clock: Clock) -> PassTime:
        return clock.move


class Shared:
    """A plugin that brings the ledger of some memory."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    @hookimpl
    def visioncraft_ledgers(self) -> list[LedgerFactory]:
        return [LedgerFactory("shared", partial(SharedLedger, self.memory))]


def server(memory: Memory, generator: Stepper, store: MemoryStore, ledger: str = "shared") -> Runtime:
    settings = Settings(jobs=JobsSettings(ledger=ledger, lease_s=LEASE_S))
    manager = PluginManager(settings)
    manager.register(Plugin(generator, store), "house")
    manager.register(Shared(memory), "shared", "visioncraft-shared", "1")
    return Runtime(settings, manager, here, durable=True)


def test_jobs_of_a_server_that_has_ended_go_on_in_another_one_on_the_same_ledger() -> None:
    async def scene() -> None:
        memory, store, waiter = Memory(clock=Clock()), MemoryStore(), Waiter()
        async with server(memory, waiter, store) as runtime:
            left = [await submit(runtime, f"image {number}") for number in range(2)]  # one runs, one waits
            await waiter.begun.wait()
        async with server(memory, Coroutine(), store) as other:
            for job in left:
                again = await other.jobs.get(job.id)
                await again.wait()
                assert (again.state, again.request.seed) == (JobState.SUCCEEDED, job.request.seed)
        assert store.count() == 2

    play(scene)


def test_a_silent_servers_jobs_are_drawn_by_another_and_given_up_by_itself() -> None:
    async def scene() -> None:
        clock, store, stuck = Clock(), MemoryStore(), Stepper()
        memory = Memory(clock=clock)
        async with server(memory, stuck, store) as silent, server(memory, Coroutine(), store) as other:
            jobs = [await submit(silent, f"image {number}") for number in range(2)]  # one runs, one waits
            await other.jobs._upkeep.share()
            assert other.jobs.live() == [], "the silent one's lease has not run out"
            clock.move(LEASE_S * 1.1)
            await other.jobs._upkeep.share()
            for job in other.jobs.live():
                await job.wait()
            assert store.count() == 2
            stuck.gate.release(100)
            await silent.jobs._upkeep.share()
            assert silent.jobs.live() == []
            for job in jobs:
                await job.wait()
                assert (await silent.jobs.get(job.id)).state is JobState.SUCCEEDED, "the ledger tells it"
        assert store.count() == 2

    play(scene)


def test_a_server_that_draws_while_its_lease_runs_out_does_not_end_the_job_a_second_time() -> None:
    async def scene() -> None:
        clock, store, slow = Clock(), MemoryStore(), Stepper()
        memory = Memory(clock=clock)
        async with server(memory, slow, store) as silent, server(memory, Coroutine(), store) as other:
            job = await submit(silent, "once")
            slow.gate.release()
            async for event in silent.jobs.watch(job):  # by its first step the ledger knows that it runs
                if event.name == "step":
                    break
            clock.move(LEASE_S * 1.1)
            await other.jobs._upkeep.share()
            (taken,) = other.jobs.live()
            await taken.wait()
            slow.gate.release(100)
            await job.wait()
            assert (await other.jobs.get(job.id)).state is JobState.SUCCEEDED
            assert store.count() == 1
        assert silent.jobs._dispatcher.live == {}, "the ledger took no word of it any more"

    play(scene)


def test_a_ledger_that_nobody_offers_stops_the_start_and_names_those_that_are_there() -> None:
    with pytest.raises(ConfigurationError, match=r"jobs\.ledger selects 'postgres', .* one of: shared, sqlite"):
        server(Memory(), Stepper(), MemoryStore(), "postgres")


def test_a_ledger_that_raises_what_it_likes_is_looked_after_again() -> None:
    async def scene() -> None:
        again, calls = asyncio.Event(), count()

        async def look_after() -> None:
            if next(calls) == 0:
                raise RuntimeError("the plugin's database is gone")
            again.set()

        loop = asyncio.create_task(_repeat(look_after, 0))
        await again.wait()
        loop.cancel()

    play(scene)

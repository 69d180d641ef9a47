"""Pools: what each promises, held for ours and for one that a plugin brings, and which one settings select."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import semaphore_pool
from semaphore_pool import SemaphorePool
from stepping import House as Plugin, Stepper, play as play_scene, running, submit
from visioncraft.errors import ConfigurationError, GenerationFailed, PluginError, WorkerLost
from visioncraft.gallery.memory import MemoryStore
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.plugins.manager import PluginManager
from visioncraft.runtime.runtime import Runtime
from visioncraft.settings import Settings, WorkersSettings
from visioncraft.testing.contracts.pool import MakePool, Play, WorkerPoolContract, draw
from visioncraft.testing.pool_engine import NAME
from visioncraft.workers.in_process_pool import InProcessPool
from visioncraft.workers.local_pool import LocalPool
from visioncraft.workers.pool import PoolFactory, WorkerPool
from visioncraft.workers.process_pool import ProcessPool


class TestProcesses(WorkerPoolContract):
    """A worker process for the generator."""

    @pytest.fixture
    def make_pool(self) -> MakePool:
        return lambda hosted: ProcessPool(hosted, Settings())

    def test_a_process_keeps_its_secrets_and_its_end_is_told_apart(self, play: Play) -> None:
        async def scene(pool: WorkerPool) -> None:
            with pytest.raises(GenerationFailed) as raised:
                await draw(pool, "crash")
            assert "secret" not in str(raised.value)
            with pytest.raises(WorkerLost, match="exit code 7"):
                await draw(pool, "die")
            assert (await draw(pool, "good")).png == b"png"

        play(scene)

    def test_a_plugin_that_does_not_load_in_its_worker_says_why(self, play: Play, tmp_path: Path) -> None:
        async def scene(pool: WorkerPool) -> None:
            points = tmp_path / "pool_engine-1.dist-info" / "entry_points.txt"
            points.write_text(f"[visioncraft]\n{NAME} = no_such_library\n", "utf-8")
            with pytest.raises(PluginError, match="no_such_library"):
                await draw(pool, "good")

        play(scene)


class TestThisProcess(WorkerPoolContract):
    """Threads of this process."""

    @pytest.fixture
    def make_pool(self) -> MakePool:
        return lambda hosted: InProcessPool({name: each.generator for name, each in hosted.items()})


class TestPluginsPool(WorkerPoolContract):
    """One that a plugin brings."""

    @pytest.fixture
    def make_pool(self) -> MakePool:
        return SemaphorePool


def runtime_of(selected: str, *pools: object, generator: Stepper | None = None) -> Runtime:
    settings = Settings(workers=WorkersSettings(pool=selected))
    manager = PluginManager(settings)
    manager.register(Plugin(generator or Stepper(), MemoryStore()), "house")
    for pool in pools:
        manager.register(pool, "semaphores", "visioncraft-semaphores", "1")
    return Runtime(settings, manager)


def offers(name: str, make: Any) -> object:
    plugin = ModuleType(name)
    vars(plugin)["visioncraft_pools"] = hookimpl(lambda: [PoolFactory(name, make)])
    return plugin


def test_settings_select_a_plugins_pool_and_its_capacity_bounds_the_queue() -> None:
    async def scene() -> None:
        generator = Stepper(concurrency=1)
        async with runtime_of("semaphores", semaphore_pool, generator=generator) as runtime:
            assert isinstance(runtime.pool, SemaphorePool)
            jobs = [await submit(runtime, f"image {number}") for number in range(3)]
            before = (runtime.jobs.running, runtime.jobs.queued)
            runtime.pool._capacity = 3
            runtime.jobs._dispatcher.pump()
            after = (runtime.jobs.running, runtime.jobs.queued)
            generator.gate.release(100)
            assert (before, after) == ((2, 1), (3, 0)), "it is asked whenever a job may start"
            await asyncio.gather(*(job.wait() for job in jobs))
            assert runtime.registry.store.count() == 3

    play_scene(scene)


def test_a_pool_that_says_no_capacity_gets_as_many_as_the_generator_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(InProcessPool, "capacity")

    async def scene() -> None:
        async with running(Stepper(concurrency=2)) as runtime:
            for number in range(3):
                await submit(runtime, f"image {number}")
            assert runtime.jobs.running == 2

    play_scene(scene)


def test_a_pool_without_workers_gets_one_job_to_wait_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InProcessPool, "capacity", lambda pool, generator: 0)

    async def scene() -> None:
        async with running(Stepper(concurrency=2)) as runtime:
            await submit(runtime, "first")
            await submit(runtime, "second")
            assert runtime.jobs.running == 1

    play_scene(scene)


def test_by_default_generators_run_on_this_machine_whoever_else_calls_a_pool_local() -> None:
    runtime = runtime_of("local", offers("local", SemaphorePool))
    assert isinstance(runtime.pool, LocalPool)
    assert "workers.pool 'local' is offered by" in str(runtime.plugins.plugins["semaphores"].error)


def test_a_pool_that_nobody_offers_stops_the_start_and_names_those_that_are_there() -> None:
    with pytest.raises(ConfigurationError, match=r"workers\.pool selects 'nats', .* one of: local, semaphores"):
        runtime_of("nats", semaphore_pool)


def test_a_pool_that_cannot_be_made_stops_the_start_with_its_reason() -> None:
    def make(_hosted: object) -> WorkerPool:
        raise OSError("no such host")

    with pytest.raises(ConfigurationError, match=r"workers\.pool selects 'far', .*: OSError: no such host"):
        runtime_of("far", offers("far", make))

"""Jobs that outlive their server: the ledger, restarts, keys that may be sent twice."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.schema import CreateTable
from stepping import Coroutine, Stepper, play, running, submit
from visioncraft.errors import ConfigurationError, GenerationFailed, InvalidRequest, NotFound, StorageError
from visioncraft.gallery.memory import MemoryStore
from visioncraft.jobs.job import Job, JobState, Order
from visioncraft.jobs.ledger.tables import jobs
from visioncraft.plugins.contracts import Progress, checked
from visioncraft.types.generation import GeneratedImage, GenerationRequest


def test_a_restart_goes_on_where_the_server_was(tmp_path: Path) -> None:
    async def scene() -> None:
        store = MemoryStore()
        async with running(Stepper(), tmp_path, store) as runtime:
            left = [await submit(runtime, f"p{number}") for number in range(3)]
        assert all(not job.ended for job in left)
        generator = Coroutine()
        async with running(generator, tmp_path, store) as runtime:
            for job in left:
                again = await runtime.jobs.get(job.id)
                await again.wait()
                assert (again.state, again.request.seed) == (JobState.SUCCEEDED, job.request.seed)
            assert list(generator.taken) == ["p0", "p1", "p2"]
            assert store.count() == 3

    play(scene)


def test_a_picture_stored_just_before_the_end_is_found_and_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        store, generator = MemoryStore(), Coroutine()
        async with running(generator, tmp_path, store) as runtime:
            put = runtime.jobs._ledger.put

            async def lost(job: Job) -> None:
                if not job.ended:
                    await put(job)

            monkeypatch.setattr(runtime.jobs._ledger, "put", lost)  # the power goes after the save
            job = await submit(runtime, "once")
            await job.wait()
        generator.taken.clear()
        async with running(generator, tmp_path, store) as runtime:
            again = await runtime.jobs.get(job.id)
            assert (again.state, again.record) == (JobState.SUCCEEDED, job.record)
            assert (generator.taken, store.count()) == ({}, 1)

    play(scene)


def test_a_paused_queue_accepts_and_waits_through_a_restart_too(tmp_path: Path) -> None:
    async def scene() -> None:
        generator = Coroutine()
        async with running(generator, tmp_path) as runtime:
            await runtime.jobs.pause()
            job = await submit(runtime, "later")
            assert (job.state, runtime.jobs.eta_s(job)) == (JobState.QUEUED, None)
        async with running(generator, tmp_path) as runtime:
            assert runtime.jobs.paused
            again = await runtime.jobs.get(job.id)
            assert not again.ended
            await runtime.jobs.resume()
            await again.wait()
            assert again.state is JobState.SUCCEEDED

    play(scene)


def test_the_same_key_gives_the_same_job_and_another_request_is_refused() -> None:
    async def scene() -> None:
        async with running(Coroutine()) as runtime:
            for number in range(50):  # they meet at another point of the way into the ledger each time
                order = Order(key=f"k-{number}", fingerprint="f")
                several = await asyncio.gather(*(submit(runtime, "once", order=order) for _ in range(4)))
                assert len({job.id for job in several}) == 1
                for job in several:
                    await job.wait()
            order = Order(key="k-1", fingerprint="f")
            first = await submit(runtime, "once", order=order)
            assert runtime.registry.store.count() == 50
            third = await submit(runtime, "once", order=order)
            assert (third.id, third.record, runtime.registry.store.count()) == (first.id, first.record, 50)
            with pytest.raises(InvalidRequest):
                await submit(runtime, "other", order=Order(key="k-1", fingerprint="g"))

    play(scene)


def test_a_ledger_that_cannot_be_written_accepts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with running(Coroutine()) as runtime:

            async def full(job: Job) -> None:
                raise StorageError("The ledger of jobs cannot be used: database or disk is full")

            monkeypatch.setattr(runtime.jobs._ledger, "add", full)
            with pytest.raises(StorageError):
                await submit(runtime, "refused")
            assert (runtime.jobs.live(), runtime.jobs.queued) == ([], 0)

    play(scene)


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(Coroutine(), tmp_path):
            with pytest.raises(ConfigurationError, match="another server"):
                async with running(Coroutine(), tmp_path):
                    pass

    play(scene)


def test_ended_jobs_are_forgotten_after_their_time_and_unknown_ids_are_not_found(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(Coroutine(), tmp_path) as runtime:
            job = await submit(runtime, "old")
            await job.wait()
            assert (await runtime.jobs.get(job.id)).record == job.record
            with pytest.raises(NotFound):
                await runtime.jobs.get("job_01kb0v7m3qj4x5n6p7r8s9t0ab")
        async with running(Coroutine(), tmp_path, keep_ended_s=0) as runtime:
            assert await runtime.jobs.latest(10) == []

    play(scene)


class Warner(Coroutine):
    """Says something of each picture."""

    async def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:  # type: ignore[override]
        return replace(await super().run(request, progress), warnings=("ink is not known",))


def test_what_was_told_of_a_job_outlives_a_restart_also_in_a_ledger_of_before(tmp_path: Path) -> None:
    async def scene() -> None:
        with sqlite3.connect(tmp_path / "jobs.sqlite3") as old:
            old.execute(str(CreateTable(jobs)).replace(", \n\twarnings BLOB", ""))
            assert "warnings" not in {row[1] for row in old.execute("PRAGMA table_info(jobs)")}
        async with running(Warner(), tmp_path) as runtime:
            job = await submit(runtime, "once", order=Order(warnings=("'steps' is none",)))
            await job.wait()
        async with running(Coroutine(), tmp_path) as runtime:
            assert (await runtime.jobs.get(job.id)).warnings == ["'steps' is none", "ink is not known"]

    play(scene)


@pytest.mark.parametrize("told", ["a sentence", [1], 7])
def test_warnings_that_are_no_sentences_fail_the_job_and_name_the_generator(told: Any) -> None:
    with pytest.raises(GenerationFailed, match="'mine' answered warnings"):
        checked(GeneratedImage(b"", 8, 8, 1, warnings=told), "mine")
    assert len(checked(GeneratedImage(b"", 8, 8, 1, warnings=("x" * 1000,) * 100), "mine").warnings) == 32


def test_a_waiting_job_is_listed_from_memory_without_the_pictures_in_its_row(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(Coroutine(), tmp_path) as runtime:
            ended = await submit(runtime, "ended")
            await ended.wait()
            await runtime.jobs.pause()
            waiting = await submit(runtime, "waits")
            with sqlite3.connect(tmp_path / "jobs.sqlite3") as file:  # whoever read this row would set it aside
                file.execute("UPDATE jobs SET request = x'00' WHERE id = ?", [waiting.id])
            assert [job.id for job in await runtime.jobs.latest(5)] == [waiting.id, ended.id]
            assert (await runtime.jobs.latest(1))[0] is waiting

    play(scene)

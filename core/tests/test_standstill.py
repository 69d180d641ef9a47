"""A store or ledger that takes nothing for a while: the service stands still, drops nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from stepping import Coroutine, play, running, submit
from visioncraft.errors import StorageError, StorageUnavailable
from visioncraft.gallery.memory import MemoryStore
from visioncraft.jobs import standstill
from visioncraft.jobs.job import Job, JobState
from visioncraft.runtime.runtime import Runtime
from visioncraft.types.gallery import ImageRecord


class Disk(MemoryStore):
    """Keeps pictures in memory, unless a test has put something in the way."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Callable[[], Exception] | None = None
        self.full = False
        self.tries = 0
        self._tried = threading.Semaphore(0)

    async def tried(self, times: int) -> None:
        """Wait for so many further saves, in vain or not."""
        for _ in range(times):
            await asyncio.to_thread(self._tried.acquire)

    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        self.tries += 1
        self._tried.release()
        if self.fault is not None:
            raise self.fault()
        return super().save(record, png)

    def check_room(self) -> None:
        if self.full:
            raise StorageError("the bucket is full")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "LOOKS_S", (0.001, 0.01))


def said_of(number: int) -> Exception:
    """A store's error as most raise it."""
    error = StorageError(f"it cannot be written: {os.strerror(number)}")
    error.__cause__ = OSError(number, os.strerror(number))
    return error


def said_of_sqlite(code: int) -> Exception:
    cause = sqlite3.OperationalError("disk I/O error")
    cause.sqlite_errorcode = code
    error = StorageError("the index cannot be used")
    error.__cause__ = OperationalError("INSERT", {}, cause)
    return error


async def stood(runtime: Runtime, job: Job) -> None:
    """Wait until the job's watchers hear that the service stands still."""
    async for event in runtime.jobs.watch(job):
        if event.trouble is not None:
            return
    raise AssertionError(f"{job.id} ended as {job.state}: {job.error}")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: StorageUnavailable("the disk is away"), id="said by the store"),
        *(
            pytest.param(lambda number=number: said_of(number), id=errno.errorcode[number])
            for number in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EMFILE, errno.EIO, errno.ESTALE)
        ),
        pytest.param(lambda: OSError(errno.EIO, os.strerror(errno.EIO)), id="the system's own error"),
        pytest.param(lambda: said_of_sqlite(sqlite3.SQLITE_IOERR_WRITE), id="SQLite's own error"),
    ],
)
def test_a_store_that_fails_for_a_while_costs_no_job_and_no_drawing(fault: Callable[[], Exception]) -> None:
    async def scene() -> None:
        disk, generator = Disk(), Coroutine()
        async with running(generator, store=disk) as runtime:
            disk.fault = fault
            jobs = [await submit(runtime, f"p{number}", steps=1) for number in range(3)]
            await stood(runtime, jobs[0])
            assert runtime.jobs.paused and runtime.jobs.trouble
            disk.fault = None
            for job in jobs:
                await job.wait()
            assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 3
            assert list(generator.taken) == ["p0", "p1", "p2"]
            assert disk.count() == 3
            assert runtime.jobs.trouble is None

    play(scene)


def test_what_one_picture_alone_cannot_have_fails_its_job_and_no_other() -> None:
    async def scene() -> None:
        disk = Disk()
        async with running(Coroutine(), store=disk) as runtime:
            disk.fault = lambda: said_of(errno.EFBIG)
            large = await submit(runtime, "large", steps=1)
            await large.wait()
            disk.fault = None
            small = await submit(runtime, "small", steps=1)
            await small.wait()
            assert "File too large" in str(large.error)
            assert (small.state, disk.tries) == (JobState.SUCCEEDED, 2)

    play(scene)


def test_a_store_that_names_no_cause_is_asked_again_for_as_long_as_it_has_no_room_and_a_few_times_otherwise() -> None:
    async def scene() -> None:
        disk = Disk()
        async with running(Coroutine(), store=disk) as runtime:
            disk.fault = lambda: StorageError("no")
            refused = await submit(runtime, "refused", steps=1)
            await refused.wait()
            assert (str(refused.error), disk.tries) == ("no", 5)
            accepted = await submit(runtime, "accepted", steps=1)
            disk.full = True
            await stood(runtime, accepted)
            await disk.tried(20)
            assert not accepted.ended
            disk.fault = None
            await accepted.wait()
            assert accepted.state is JobState.SUCCEEDED

    play(scene)


def test_while_it_stands_still_no_job_starts_all_can_be_cancelled_and_nobody_is_told_a_time() -> None:
    async def scene() -> None:
        disk, generator = Disk(), Coroutine()
        async with running(generator, store=disk) as runtime:
            disk.fault = lambda: said_of(errno.ENOSPC)
            drawn, second, third = [await submit(runtime, f"p{number}", steps=1) for number in range(3)]
            await stood(runtime, second)
            await disk.tried(2)
            assert (drawn.stage, second.state) == ("waiting for the disk", JobState.QUEUED)
            assert [runtime.jobs.eta_s(job) for job in (drawn, second)] == [None, None]
            assert (await runtime.jobs.cancel(second.id)).state is JobState.CANCELLED
            await runtime.jobs.pause()
            await runtime.jobs.cancel(drawn.id)
            await drawn.wait()
            disk.fault = None
            await runtime.jobs.resume()
            await third.wait()
            assert (drawn.state, third.state) == (JobState.CANCELLED, JobState.SUCCEEDED)
            assert list(generator.taken) == ["p0", "p2"]

    play(scene)


def test_an_end_that_cannot_be_written_down_is_told_kept_and_written_down_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        store, generator = MemoryStore(), Coroutine()
        async with running(generator, tmp_path, store) as runtime:
            put, full, often = runtime.jobs._ledger.put, asyncio.Event(), asyncio.Semaphore(0)

            async def tried(job: Job) -> None:
                if full.is_set():
                    often.release()
                    raise StorageUnavailable("The ledger of jobs cannot be used: database or disk is full")
                await put(job)

            monkeypatch.setattr(runtime.jobs._ledger, "put", tried)
            await runtime.jobs.pause()
            jobs = [await submit(runtime, name, steps=1) for name in ("cancelled", "drawn")]
            full.set()
            assert (await runtime.jobs.cancel(jobs[0].id)).state is JobState.CANCELLED
            await jobs[0].wait()
            for _ in range(3):
                await often.acquire()
            assert runtime.jobs.trouble is not None
            assert await runtime.jobs.latest(9, JobState.QUEUED) == [jobs[1]]
            assert (await runtime.jobs.get(jobs[0].id)).state is JobState.CANCELLED
            await runtime.jobs.resume()
            assert not generator.taken, "it stands still for its own reason"
            full.clear()
            await jobs[1].wait()
        async with running(generator, tmp_path, store) as runtime:
            states = [(await runtime.jobs.get(job.id)).state for job in jobs]
            assert states == [JobState.CANCELLED, JobState.SUCCEEDED]
            assert list(generator.taken) == ["drawn"]

    play(scene)


def test_a_server_that_ends_while_it_stands_still_leaves_every_job_for_its_next_start(tmp_path: Path) -> None:
    async def scene() -> None:
        disk, generator = Disk(), Coroutine()
        async with running(generator, tmp_path, disk) as runtime:
            disk.fault = lambda: said_of(errno.EROFS)
            left = [await submit(runtime, f"p{number}", steps=1) for number in range(2)]
            await stood(runtime, left[0])
        assert not any(job.ended for job in left)
        disk.fault = None
        async with running(generator, tmp_path, disk) as runtime:
            for job in left:
                again = await runtime.jobs.get(job.id)
                await again.wait()
                assert again.state is JobState.SUCCEEDED
        assert disk.count() == 2

    play(scene)


def test_who_waits_for_a_picture_is_told_why_it_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "LASTING_S", 0.0)

    async def scene() -> None:
        disk = Disk()
        async with running(Coroutine(), store=disk) as runtime:
            disk.fault = lambda: said_of(errno.EDQUOT)
            job = await submit(runtime, "late", steps=1)
            assert "quota" in str(await runtime.jobs.outcome(job)).lower()
            disk.fault = None
            await job.wait()
            assert await runtime.jobs.outcome(job) is None

    play(scene)

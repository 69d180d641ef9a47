"""Jobs from their acceptance to their end: turns, bounds, cancels, failures, watchers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from stepping import Coroutine, Stepper, Waiter, play, running, submit
from visioncraft.errors import (
    GenerationFailed,
    InsufficientVRAM,
    InvalidRequest,
    JobCancelled,
    RateLimitExceeded,
    ServiceUnavailable,
    WorkerLost,
)
from visioncraft.images.png import read_record
from visioncraft.jobs.job import JobState, Order
from visioncraft.jobs.requests import build_request
from visioncraft.types.generation import GenerationRequest


def test_a_job_ends_with_its_picture_stored_and_the_same_bytes_in_hand() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            job = await submit(runtime, "a cat", wants_png=True)
            assert job.state is JobState.RUNNING
            generator.gate.release(2)
            await job.wait()
            assert (job.state, job.step) == (JobState.SUCCEEDED, 2)
            assert job.record is not None
            png = await runtime.jobs.picture(job)
            assert png == runtime.registry.store.open(job.record.id)
            assert read_record(png) == job.record
            runtime.jobs.release(job)
            assert job.png is None
            assert await runtime.jobs.picture(job) == png

    play(scene)


def test_jobs_run_in_turn_and_know_their_place_and_about_their_time() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            jobs = [await submit(runtime, f"p{number}") for number in range(3)]
            assert [runtime.jobs.position(job) for job in jobs] == [0, 1, 2]
            left = [runtime.jobs.eta_s(job) or 0.0 for job in jobs]
            assert left == sorted(left)
            assert (runtime.jobs.running, runtime.jobs.queued) == (1, 2)
            generator.gate.release(6)
            for job in jobs:
                await job.wait()
            assert list(generator.taken) == ["p0", "p1", "p2"]
            assert [runtime.jobs.eta_s(job) for job in jobs] == [None] * 3

    play(scene)


def test_clients_take_turns_and_higher_priorities_go_first() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            first = await submit(runtime, "first", order=Order("anna"))
            for number in range(3):
                await submit(runtime, f"anna {number}", order=Order("anna"))
            for number in range(2):
                await submit(runtime, f"ben {number}", order=Order("ben"))
            last = await submit(runtime, "urgent", order=Order("anna", priority=5))
            foreseen = [job.request.prompt for job in runtime.jobs._dispatcher._lanes["stepper"].order()]
            generator.gate.release(100)
            await first.wait()
            await last.wait()
            while runtime.jobs.live():
                await runtime.jobs.live()[0].wait()
            assert list(generator.taken) == ["first", "urgent", "ben 0", "anna 0", "ben 1", "anna 1", "anna 2"]
            assert foreseen == list(generator.taken)[1:]

    play(scene)


def test_as_many_run_at_once_as_the_generator_takes() -> None:
    async def scene() -> None:
        generator = Stepper(concurrency=2)
        async with running(generator) as runtime:
            for number in range(3):
                await submit(runtime, f"p{number}")
            assert (runtime.jobs.running, runtime.jobs.queued) == (2, 1)

    play(scene)


def test_past_its_bound_the_queue_refuses_and_says_when_to_come_back() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator, capacity=2) as runtime:
            accepted = [await submit(runtime, f"p{number}") for number in range(3)]
            with pytest.raises(RateLimitExceeded) as refused:
                await submit(runtime, "one too many")
            assert refused.value.retry_after >= 1
            generator.gate.release(6)
            for job in accepted:
                await job.wait()
            assert (await submit(runtime, "again")).state is JobState.RUNNING
            assert "one too many" not in generator.taken

    play(scene)


def test_a_request_is_made_whole_in_its_place_in_the_queue_and_not_at_all_where_it_is_refused() -> None:
    async def scene() -> None:
        async with running(Stepper(), capacity=2) as runtime:
            await runtime.jobs.pause()
            request = build_request(
                runtime.registry.model("stepper"), "a cat", width=8, height=8, num_inference_steps=2
            )
            going_on, begun = asyncio.Event(), asyncio.Queue[str]()

            async def whole() -> GenerationRequest:
                begun.put_nowait("begun")
                await going_on.wait()
                return replace(request, prompt="a whole cat")

            async def refused() -> GenerationRequest:
                raise InvalidRequest("Invalid mask provided", field="mask", issue="not a readable picture")

            waiting = [asyncio.create_task(runtime.jobs.submit(request, complete=whole)) for _ in range(2)]
            assert [await begun.get() for _ in waiting] == ["begun"] * 2
            with pytest.raises(RateLimitExceeded):
                await runtime.jobs.submit(request, complete=whole)
            assert begun.empty() and runtime.jobs.queued == 2 and runtime.jobs.live() == []
            going_on.set()
            jobs = [await task for task in waiting]
            assert {job.request.prompt for job in jobs} == {"a whole cat"}
            assert all(job.request.job_id == job.id for job in jobs)
            await runtime.jobs.cancel(jobs[0].id)
            with pytest.raises(InvalidRequest):
                await runtime.jobs.submit(request, complete=refused)
            assert runtime.jobs.queued == 1, "its place is free again"

    play(scene)


def test_a_queued_job_is_cancelled_at_once_and_never_starts() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            first, second = await submit(runtime, "first"), await submit(runtime, "second")
            assert (await runtime.jobs.cancel(second.id)).state is JobState.CANCELLED
            generator.gate.release(2)
            await first.wait()
            assert first.state is JobState.SUCCEEDED
            assert "second" not in generator.taken

    play(scene)


def test_a_running_job_stops_at_its_next_step_and_the_next_one_runs() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            first, second = await submit(runtime, "first", steps=10), await submit(runtime, "second", steps=1)
            generator.gate.release()
            async for event in runtime.jobs.watch(first):
                if event.step == 1:
                    break
            await runtime.jobs.cancel(first.id)
            generator.gate.release(2)
            await first.wait()
            await second.wait()
            assert (first.state, generator.taken["first"]) == (JobState.CANCELLED, 2)
            assert isinstance(first.error, JobCancelled)
            assert second.state is JobState.SUCCEEDED
            assert runtime.registry.store.count() == 1

    play(scene)


def test_a_coroutine_hears_whether_a_person_cancelled_it() -> None:
    async def scene() -> None:
        generator = Waiter()
        async with running(generator) as runtime:
            job = await submit(runtime, "cancelled")
            await generator.begun.wait()
            await runtime.jobs.cancel(job.id)
            await job.wait()
            assert (job.state, generator.cancelled) == (JobState.CANCELLED, [True])

    play(scene)


def test_a_coroutine_is_not_told_of_a_cancel_when_the_server_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        generator = Waiter()
        async with running(generator, tmp_path) as runtime:
            job = await submit(runtime, "interrupted")
            await generator.begun.wait()
        assert (generator.cancelled, job.ended) == ([False], False)

    play(scene)


def test_cancelling_an_ended_job_changes_nothing() -> None:
    async def scene() -> None:
        async with running(Coroutine()) as runtime:
            job = await submit(runtime, "done", steps=1)
            await job.wait()
            assert (await runtime.jobs.cancel(job.id)).state is JobState.SUCCEEDED

    play(scene)


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(ValueError("a secret path"), GenerationFailed), (InsufficientVRAM(3.2, 6.5), InsufficientVRAM)],
)
def test_a_generator_that_raises_fails_its_job_only(raised: Exception, seen: type[Exception]) -> None:
    async def scene() -> None:
        generator = Stepper()
        generator.raises = [raised]
        async with running(generator) as runtime:
            job = await submit(runtime, "bad", steps=1)
            generator.gate.release()
            await job.wait()
            assert (job.state, type(job.error)) == (JobState.FAILED, seen)
            assert "a secret path" not in str(job.error)
            after = await submit(runtime, "good", steps=1)
            generator.gate.release()
            await after.wait()
            assert after.state is JobState.SUCCEEDED

    play(scene)


@pytest.mark.parametrize(("losses", "state"), [(3, JobState.SUCCEEDED), (4, JobState.FAILED)])
def test_a_job_that_loses_its_worker_runs_again_three_times_with_its_id_and_seed(losses: int, state: JobState) -> None:
    async def scene() -> None:
        generator = Stepper()
        generator.raises = [WorkerLost("the worker was ended by SIGKILL") for _ in range(losses)]
        async with running(generator) as runtime:
            generator.gate.release(10)
            job = await submit(runtime, "unlucky", steps=1)
            await job.wait()
            assert job.state is state
            assert generator.seeds == [(job.id, 1)] * 4
            assert state is JobState.SUCCEEDED or "SIGKILL" in str(job.error)

    play(scene)


def test_a_late_watcher_gets_the_state_first_and_a_returning_one_what_it_missed() -> None:
    async def scene() -> None:
        generator = Stepper()
        async with running(generator) as runtime:
            job = await submit(runtime, "watched", steps=3)
            generator.gate.release(1)
            seen = None
            async for event in runtime.jobs.watch(job):
                if event.step == 1:
                    seen = event.id
                    break
            generator.gate.release(2)
            await job.wait()
            missed = [(event.name, event.step) async for event in runtime.jobs.watch(job, seen)]
            assert missed == [("step", 2), ("step", 3), ("succeeded", 3)]
            late = [event async for event in runtime.jobs.watch(job)]
            assert [(event.name, event.final) for event in late] == [("succeeded", True)]
            assert [e async for e in runtime.jobs.watch(job, late[0].id)] == []

    play(scene)


def test_whoever_waits_hears_that_the_server_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        generator = Waiter()
        async with running(generator, tmp_path) as runtime:
            job = await submit(runtime, "left", wants_png=True)
            await generator.begun.wait()
            waiting = asyncio.create_task(job.wait())
        await waiting
        with pytest.raises(ServiceUnavailable):
            await runtime.jobs.picture(job)

    play(scene)

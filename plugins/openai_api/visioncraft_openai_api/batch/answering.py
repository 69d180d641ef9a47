"""A line's way from its request to its answer in one of the files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import orjson
from visioncraft import (
    JobCancelled,
    JobState,
    JobView,
    NotFound,
    RateLimitExceeded,
    Service,
    ServiceUnavailable,
    StorageUnavailable,
    VisionCraftError,
)

from visioncraft_openai_api.answers import document_parts
from visioncraft_openai_api.asked import Asked
from visioncraft_openai_api.batch.batches import Batch
from visioncraft_openai_api.batch.desk import Desk
from visioncraft_openai_api.batch.drawing import begun, forgotten, understood, urls_of
from visioncraft_openai_api.batch.lines import Line, read_body
from visioncraft_openai_api.batch.outputs import Part, answer
from visioncraft_openai_api.batch.turns import Turn, first_of
from visioncraft_openai_api.errors import error_document, error_status

_AGAIN_S = 5.0  # between two looks at a job that stands still, as the disk takes nothing


class Withdrawn(Exception):
    """A batch was halted before anything was drawn of a line."""


class ComeBack(Exception):
    """Nothing can be drawn of a line now, which says nothing of the line.

    Args:
        seconds: When to try again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


async def answered(
    desk: Desk, batch: Batch, line: Line, turn: Turn | None, halted: asyncio.Event
) -> tuple[bool, Sequence[Part]]:
    """Have a line drawn.

    Args:
        desk: What every batch works with.
        batch: Whose line it is.
        line: The line; one that an earlier server has sent already is not sent again.
        turn: Ends once the line does not wait any more.
        halted: Set once nothing further is to be drawn; what is being drawn then comes to its end.

    Returns:
        Whether it was drawn, and what is to stand in the one file or the other.

    Raises:
        Withdrawn: The batch was halted first.
        ComeBack: It is to be put back.
        OSError: The batch's file cannot be read.
        StorageUnavailable: Nothing can be written down now.
    """
    body = await asyncio.to_thread(read_body, desk.files.path(batch.input_file_id), line)
    job_id = ""
    try:
        asked = await understood(desk.service, desk.files, batch, body)
        job = await _job(desk, batch, line, asked, halted)
        job_id = job.id
        job = await _drawn(desk.service, job, turn, halted)
        return True, answer(line, 200, job_id, await _document(desk, batch, job, asked))
    except StorageUnavailable:  # which says nothing of the line
        raise
    except VisionCraftError as error:
        told = orjson.dumps(error_document(error, frozenset(body)), default=str)
        return False, answer(line, error_status(error), job_id, [told])


async def _document(desk: Desk, batch: Batch, job: JobView, asked: Asked) -> list[Part]:
    url_of = urls_of(desk.service, desk.app, batch, desk.lifetime_s(batch)) if desk.app is not None else None
    return await document_parts(desk.service, job, asked, url_of)


async def _job(desk: Desk, batch: Batch, line: Line, asked: Asked, halted: asyncio.Event) -> JobView:
    """The job that draws a line, written down. Raises `ComeBack` where none can be accepted now."""
    if (known := await _known(desk.service, line)) is not None:
        return known
    if halted.is_set():
        raise Withdrawn
    try:
        job = await begun(desk.service, batch, line, asked)
    except RateLimitExceeded as full:
        raise ComeBack(full.retry_after) from full
    except ServiceUnavailable as unavailable:  # nothing can be kept, or the server ends
        raise ComeBack(_AGAIN_S) from unavailable
    await desk.batches.note_sent(batch, line, job.id)
    return job


async def _known(service: Service, line: Line) -> JobView | None:
    """The job of a line that was sent already."""
    if line.job is None:
        return None
    try:
        return await service.job(line.job)
    except NotFound:
        return await forgotten(service, line)


async def _drawn(service: Service, job: JobView, turn: Turn | None, halted: asyncio.Event) -> JobView:
    """The job, once it has ended well. Raises what it ended with instead."""
    if not job.ended:
        await _until_started(service, job.id, halted)
        if turn is not None:
            turn.end()
        job = await _until_ended(service, job.id)
    if isinstance(job.error, JobCancelled) and halted.is_set():
        raise Withdrawn
    if isinstance(job.error, RateLimitExceeded):  # a service elsewhere has taken no order
        raise ComeBack(job.error.retry_after)
    if job.error is not None:
        raise job.error
    return job


async def _until_started(service: Service, job_id: str, halted: asyncio.Event) -> None:
    """Wait until a job does not wait any more; halting cancels it where it does."""

    async def started() -> None:
        async for event in service.watch(job_id):
            if event.state is not JobState.QUEUED:
                return

    await first_of(started(), halted.wait())
    if halted.is_set() and (await service.job(job_id)).state is JobState.QUEUED:
        await service.cancel(job_id, "its batch ends")


async def _until_ended(service: Service, job_id: str) -> JobView:
    while True:
        with suppress(VisionCraftError):  # where nothing can be kept now the job goes on by itself later
            await service.wait(job_id)
        job = await service.job(job_id)
        if job.ended:
            return job
        await asyncio.sleep(_AGAIN_S)

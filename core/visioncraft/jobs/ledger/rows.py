"""A job as a row of the ledger, and back: whatever a row holds, it is a whole job or it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from visioncraft.errors import VisionCraftError, from_plain, to_plain
from visioncraft.jobs.job import Job, JobState, Order
from visioncraft.jobs.requests import MAX_IMAGES
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.generation import GenerationRequest
from visioncraft.types.ids import is_image_id, is_job_id

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "ModelNotAvailable": ("available_models",),
    "InsufficientVRAM": ("vram_available", "vram_required"),
    "RateLimitExceeded": ("retry_after",),
}
"""What an error of these kinds is told with, beside its message."""


class DamagedRow(Exception):
    """A row that is no whole job; says why."""


class _Row(msgspec.Struct):
    id: str
    state: JobState
    client: str
    priority: int
    key: str | None
    fingerprint: str
    request: Any
    lost: int
    image_id: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    record: Any
    error: Any
    warnings: Any


def row_of(job: Job) -> dict[str, Any]:
    """What is written down of a job."""
    return {
        "id": job.id,
        "state": job.state.value,
        "client": job.order.client,
        "priority": job.order.priority,
        "key": job.order.key,
        "fingerprint": job.order.fingerprint,
        "request": msgspec.json.encode(job.request.without_pictures() if job.ended else job.request),
        "lost": job.lost_workers,
        "image_id": job.image_id,
        "created_at": job.created_at.timestamp(),
        "started_at": job.started_at.timestamp() if job.started_at else None,
        "ended_at": job.ended_at.timestamp() if job.ended_at else None,
        "record": _written(job),
        "error": msgspec.json.encode(to_plain(job.error)) if job.error else None,
        "warnings": msgspec.json.encode(job.order.warnings) if job.order.warnings else None,
    }


def _written(job: Job) -> bytes | None:
    """The images of a job that has ended, also of one that was stopped between two of them."""
    if not job.ended or not job.records:
        return msgspec.json.encode(job.record) if job.record else None
    return msgspec.json.encode(job.records if len(job.records) > 1 else job.records[0])


def job_of(values: Mapping[str, Any]) -> Job:
    """The job that a row tells of.

    Raises:
        DamagedRow: A value is not of its column's kind, or does not fit the others.
    """
    try:
        # msgspec takes plain strings only, SQLAlchemy names columns by a kind of its own
        row = msgspec.convert({str(name): value for name, value in values.items()}, _Row)
        job = _told(row)
        _check(row, job)
    except DamagedRow:
        raise
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise DamagedRow(" ".join(str(error).split()) or type(error).__name__) from error
    return job


def _told(row: _Row) -> Job:
    records = _records(row.record)
    job = Job(
        id=row.id,
        request=_decoded(row.request, GenerationRequest),
        order=Order(row.client, row.priority, row.key, row.fingerprint, _sentences(row.warnings)),
        state=row.state,
        lost_workers=row.lost,
        image_id=row.image_id,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        started_at=None if row.started_at is None else datetime.fromtimestamp(row.started_at, UTC),
        ended_at=None if row.ended_at is None else datetime.fromtimestamp(row.ended_at, UTC),
        stage=row.state.value,
        record=records[0] if records and row.state is JobState.SUCCEEDED else None,
        records=records,
        error=_error(row.error),
    )
    if job.ended:
        job.step = job.steps if job.record else 0
        job.announce()
    return job


def _check(row: _Row, job: Job) -> None:
    """Raise `DamagedRow` where values that are right by themselves make no job together."""
    request = job.request
    counts = (request.num_images, request.num_inference_steps, request.width, request.height)
    wrong = {
        "its id is none": not is_job_id(row.id),
        "its picture's id is none": row.image_id is not None and not is_image_id(row.image_id),
        "its request asks for nothing that can be drawn": min(counts) < 1 or request.num_images > MAX_IMAGES,
        "it succeeded without a picture": row.state is JobState.SUCCEEDED and job.record is None,
        "it failed without an error": row.state is JobState.FAILED and job.error is None,
        "it ended at no time": job.ended and job.ended_at is None,
    }
    for reason, holds in wrong.items():
        if holds:
            raise DamagedRow(reason)


def _decoded(column: Any, kind: Any) -> Any:
    if not isinstance(column, bytes | str):
        raise DamagedRow(f"{type(column).__name__} stands where JSON should")
    return msgspec.json.decode(column, type=kind)


def _sentences(column: Any) -> tuple[str, ...]:
    return () if column is None else tuple(_decoded(column, list[str]))


def _records(column: Any) -> list[ImageRecord]:
    """A job's pictures: one is written as itself, several as a list."""
    if column is None:
        return []
    found = _decoded(column, ImageRecord | list[ImageRecord])
    return found if isinstance(found, list) else [found]


def _error(column: Any) -> VisionCraftError | None:
    if column is None:
        return None
    plain = _decoded(column, dict[str, Any])
    for name in ("message", "details", *_NEEDED.get(str(plain.get("kind")), ())):
        if name not in plain:
            raise DamagedRow(f"its error has no '{name}'")
    if not (isinstance(plain["message"], str) and isinstance(plain["details"], dict)):
        raise DamagedRow("its error is none")
    return from_plain(plain)

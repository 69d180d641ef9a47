"""What a batch is, and how clients see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson


class Status(StrEnum):
    """Where a batch stands. The last four are final."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    CANCELLING = "cancelling"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


UNFINISHED = frozenset({Status.VALIDATING, Status.IN_PROGRESS, Status.CANCELLING, Status.FINALIZING})
"""The states of a batch that goes on."""

TIMES = (
    *("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"),
)
"""When a batch came to stand where; seconds since 1970."""

_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
"""Nothing is counted here; some clients read it all the same."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests of one file, drawn while nobody waits.

    Args:
        id: `batch_` and 24 hexadecimal digits.
        number: Its place in the order of all batches.
        status: Where it stands.
        endpoint: What its requests are for.
        input_file_id: The file that they stand in.
        completion_window: By when they are to be drawn, as its sender said it.
        metadata: Whatever its sender keeps with it.
        output_expires_s: For how long what it writes is kept, in seconds; None for as long as settings say.
        caller: Who sent it, as the queue's turns have it.
        owner: Whose it is, where people have keys of their own.
        identity: What its sender may do, as `owners` writes it down.
        origin: The address that its sender reached this server at, for URLs of images.
        output_file_id: The file of the requests that were drawn, once it has ended.
        error_file_id: The file of those that were not.
        output_bytes: How much of the one is written.
        error_bytes: How much of the other is.
        total: How many lines it has.
        completed: How many of them are in the one file.
        failed: How many are in the other.
        model: The model that its first request names.
        errors: What is wrong with lines that are no requests.
        created_at: When it was sent, in seconds since 1970.
        expires_at: By when it is to be done.
        times: When it came to stand where, by the names in `TIMES`.
    """

    id: str
    number: int
    status: Status
    endpoint: str
    input_file_id: str
    completion_window: str
    metadata: Mapping[str, str]
    output_expires_s: int | None
    caller: str
    owner: str
    identity: str | None
    origin: str
    output_file_id: str
    error_file_id: str
    output_bytes: int
    error_bytes: int
    total: int
    completed: int
    failed: int
    model: str | None
    errors: Sequence[Mapping[str, Any]]
    created_at: int
    expires_at: int
    times: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.status not in UNFINISHED

    def document(self) -> dict[str, object]:
        """The batch as the protocol has it."""
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": {"object": "list", "data": list(self.errors)} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": self.status.value,
            "output_file_id": self.output_file_id if self.ended and self.output_bytes else None,
            "error_file_id": self.error_file_id if self.ended and self.error_bytes else None,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **self.times,
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "usage": _USAGE,
            "metadata": dict(self.metadata) or None,
        }


def batch_of(row: Mapping[str, Any]) -> Batch:
    """The batch of a row of the database.

    Args:
        row: Its columns by their names.
    """
    given = dict(row)
    times = {name: given.pop(name) for name in TIMES}
    given["status"] = Status(given["status"])
    given["metadata"], given["errors"] = orjson.loads(given["metadata"]), orjson.loads(given["errors"])
    return Batch(**given, times=times)

"""In-process publish and subscribe for job events.

The last 128 events of each job are kept, so that a client can go on with `Last-Event-ID`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count

from visioncraft.jobs.job import Job
from visioncraft.types.jobs import JobEvent, JobView

_REMEMBERED_EVENTS = 128  # of one job
_REMEMBERED_JOBS = 256
_SLOWEST = 1024  # events a listener may be behind before it is let go


Outlook = tuple[int, float | None]
"""A job's place in its queue, and about how many seconds are left where somebody can say."""


class EventHub:
    """Hands events to listeners. Everything happens in one event loop."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._numbers = count(1)
        self._past: OrderedDict[str, deque[JobEvent]] = OrderedDict()
        self._listeners: dict[asyncio.Queue[JobEvent | None], str | None] = {}

    def watched(self, job_id: str) -> bool:
        """Whether anybody listens to a job."""
        return any(wanted in (None, job_id) for wanted in self._listeners.values())

    def publish(
        self, job: Job, name: str, outlook: Outlook, preview: bytes | None = None, trouble: str | None = None
    ) -> None:
        """Hand what has happened to a job to everybody who listens to it.

        Args:
            job: The job as it stands now.
            name: The event's name.
            outlook: Its place in the queue, and about how many seconds are left.
            preview: A small PNG of what is being drawn.
            trouble: Why the queue stands still.
        """
        event = event_of(job, f"{self._run}-{next(self._numbers)}", name, outlook, preview, trouble)
        past = self._past.setdefault(job.id, deque(maxlen=_REMEMBERED_EVENTS))
        if preview is None:  # previews are worth seeing when they are new, and large
            past.append(event)
        self._past.move_to_end(job.id)
        while len(self._past) > _REMEMBERED_JOBS:
            self._past.popitem(last=False)
        for queue, wanted in list(self._listeners.items()):
            if wanted in (None, job.id):
                self._hand_over(queue, event)

    def since(self, job_id: str, event_id: str | None) -> list[JobEvent] | None:
        """What a listener that saw `event_id` has missed; None where that is not known any more."""
        past = list(self._past.get(job_id, ()))
        seen = [number for number, event in enumerate(past) if event.id == event_id]
        return past[seen[0] + 1 :] if seen else None

    def last_id(self, job_id: str) -> str:
        """The id of a job's last event."""
        past = self._past.get(job_id)
        return past[-1].id if past else f"{self._run}-0"

    def heard_all(self, job: Job, event_id: str | None) -> bool:
        """Whether `event_id` is that of a job's last word, after which nothing comes."""
        past = self._past.get(job.id)
        return event_id == self.last_id(job.id) and (past[-1].final if past else job.ended)

    @contextmanager
    def listen(self, job_id: str | None = None) -> Iterator[AsyncIterator[JobEvent]]:
        """Events of one job, or of all, from now on. They end with the server, and for a listener that falls behind."""
        queue: asyncio.Queue[JobEvent | None] = asyncio.Queue(_SLOWEST)
        self._listeners[queue] = job_id
        try:
            yield _each(queue)
        finally:
            self._listeners.pop(queue, None)

    def close(self) -> None:
        """The server ends: so do all streams."""
        for queue in list(self._listeners):
            self._let_go(queue)

    def _hand_over(self, queue: asyncio.Queue[JobEvent | None], event: JobEvent) -> None:
        if queue.qsize() < _SLOWEST - 1:
            queue.put_nowait(event)
        else:
            self._let_go(queue)

    def _let_go(self, queue: asyncio.Queue[JobEvent | None]) -> None:
        if self._listeners.pop(queue, self) is not self:
            queue.put_nowait(None)


async def _each(queue: asyncio.Queue[JobEvent | None]) -> AsyncIterator[JobEvent]:
    while (event := await queue.get()) is not None:
        yield event


def event_of(
    job: Job, event_id: str, name: str, outlook: Outlook, preview: bytes | None = None, trouble: str | None = None
) -> JobEvent:
    """The event that tells where a job stands now."""
    position, eta_s = outlook
    last = job.ended
    return JobEvent(
        id=event_id,
        name=name,
        job_id=job.id,
        state=job.state,
        stage=job.stage,
        step=job.step,
        steps=job.steps,
        position=position,
        eta_s=eta_s,
        preview=preview,
        trouble=trouble,
        image=job.record if last else None,
        error=job.error if last else None,
        warnings=tuple(job.warnings) if last else (),
        model=job.request.model.id,
        owner=job.request.owner,
    )


def view_of(job: Job, outlook: Outlook) -> JobView:
    """A job as everybody outside the queue sees it.

    Args:
        job: The job as it stands now.
        outlook: Its place in the queue, and about how many seconds are left.
    """
    position, eta_s = outlook
    return JobView(
        id=job.id,
        state=job.state,
        stage=job.stage,
        step=job.step,
        steps=job.steps,
        position=position,
        eta_s=eta_s,
        priority=job.order.priority,
        caller=job.order.client,
        model=job.request.model.id,
        seed=job.request.seed,
        parameters=job.request.parameters(),
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        images=tuple(job.records),
        error=job.error,
        warnings=tuple(job.warnings),
        dialect=job.request.dialect,
        owner=job.request.owner,
    )

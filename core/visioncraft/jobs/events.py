"""Who watches hears: every change of every job, to any number of listeners, with a short memory for late ones."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from visioncraft.jobs.job import FINAL, Job, JobState

_REMEMBERED_EVENTS = 128  # of one job
_REMEMBERED_JOBS = 256
_SLOWEST = 1024  # events a listener may be behind before it is let go


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one job.

    Parameters
    ----------
    id: Of this event; events of one job sort by time. Ids of another run of the server are told apart.
    name: `queued`, `running`, `step`, `preview`, `succeeded`, `failed` or `cancelled`.
    job: The job, whose later changes show in it too.
    state, stage, step, position, left_s: As they were: place in the queue, about how many seconds are left.
    preview: A small PNG of what is being drawn, with `preview`.
    trouble: Why the service stood still, as nothing could be kept; None while all is well.
    """

    id: str
    name: str
    job: Job
    state: JobState
    stage: str
    step: int
    position: int
    left_s: float | None
    preview: bytes | None = None
    trouble: str | None = None

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self.state in FINAL


class EventHub:
    """Hands events to listeners. Everything happens in one event loop."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._numbers = count(1)
        self._past: OrderedDict[str, deque[Event]] = OrderedDict()
        self._listeners: dict[asyncio.Queue[Event | None], str | None] = {}

    def watched(self, job_id: str) -> bool:
        """Whether anybody listens to a job."""
        return any(wanted in (None, job_id) for wanted in self._listeners.values())

    def tell(
        self,
        job: Job,
        name: str,
        position: int,
        left_s: float | None,
        preview: bytes | None = None,
        trouble: str | None = None,
    ) -> None:
        """Something happened to a job."""
        number = f"{self._run}-{next(self._numbers)}"
        event = Event(number, name, job, job.state, job.stage, job.step, position, left_s, preview, trouble)
        past = self._past.setdefault(job.id, deque(maxlen=_REMEMBERED_EVENTS))
        if preview is None:  # previews are worth seeing when they are new, and large
            past.append(event)
        self._past.move_to_end(job.id)
        while len(self._past) > _REMEMBERED_JOBS:
            self._past.popitem(last=False)
        for queue, wanted in list(self._listeners.items()):
            if wanted in (None, job.id):
                self._hand_over(queue, event)

    def since(self, job_id: str, event_id: str | None) -> list[Event] | None:
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
    def listen(self, job_id: str | None = None) -> Iterator[AsyncIterator[Event]]:
        """Events of one job, or of all, from now on. They end with the server, and for a listener that falls behind."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_SLOWEST)
        self._listeners[queue] = job_id
        try:
            yield _each(queue)
        finally:
            self._listeners.pop(queue, None)

    def close(self) -> None:
        """The server ends: so do all streams."""
        for queue in list(self._listeners):
            self._let_go(queue)

    def _hand_over(self, queue: asyncio.Queue[Event | None], event: Event) -> None:
        if queue.qsize() < _SLOWEST - 1:
            queue.put_nowait(event)
        else:
            self._let_go(queue)

    def _let_go(self, queue: asyncio.Queue[Event | None]) -> None:
        if self._listeners.pop(queue, self) is not self:
            queue.put_nowait(None)


async def _each(queue: asyncio.Queue[Event | None]) -> AsyncIterator[Event]:
    while (event := await queue.get()) is not None:
        yield event

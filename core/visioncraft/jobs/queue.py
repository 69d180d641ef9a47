"""One generator's queue: clients take turns, and how long a job takes is learned from those that ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from itertools import accumulate, count

from visioncraft.jobs.job import Job
from visioncraft.jobs.pace import Pace

_FIRST_GUESS_S = 5.0  # for 20 steps at 512x512
_STANDARD_WORK = 20 * 512 * 512
_NEWEST_WEIGHS = 0.3  # of an exponential mean


@dataclass(slots=True)
class GeneratorQueue:
    """A generator's waiting and running jobs.

    Args:
        generator: Its name.
        concurrency: How many the pool draws at once; the dispatcher asks it again whenever a job may start.
    """

    generator: str
    concurrency: int
    waiting: list[Job] = field(default_factory=list)
    running: dict[Job, Pace] = field(default_factory=dict)
    _served: dict[str, int] = field(default_factory=dict)
    _turns: Iterator[int] = field(default_factory=lambda: count(1))
    _seconds_per_work: float = _FIRST_GUESS_S / _STANDARD_WORK
    _state: tuple[object, ...] = ()
    _places: dict[Job, tuple[int, float]] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Whether the generator takes another job now."""
        return self._busy < self.concurrency

    @property
    def has_spare_slots(self) -> bool:
        """Whether a job may draw several of its pictures at once: half of the places stay free for who comes next."""
        return self._busy + 1 <= self.concurrency // 2

    def order(self) -> list[Job]:
        """The waiting jobs as they would run if nobody else came.

        Higher priorities first; among equals the client whose last turn is longest ago, and each client's own jobs in
        the order of their coming.
        """
        ordered: list[Job] = []
        turn = max(self._served.values(), default=0) + 1
        for priority in sorted({job.order.priority for job in self.waiting}, reverse=True):
            queues: dict[str, deque[tuple[int, Job]]] = {}
            for number, job in enumerate(self.waiting):
                if job.order.priority == priority:
                    queues.setdefault(job.order.client, deque()).append((number, job))
            heads = [(self._served.get(client, 0), queue[0][0], client) for client, queue in queues.items()]
            heapify(heads)
            while heads:
                _, _, client = heads[0]
                ordered.append(queues[client].popleft()[1])
                if queues[client]:
                    heapreplace(heads, (turn, queues[client][0][0], client))
                else:
                    heappop(heads)
                turn += 1
        return ordered

    def next(self) -> Job:
        """Take the job whose turn it is out of the queue, and count it as running."""
        job = min(self.waiting, key=lambda job: (-job.order.priority, self._served.get(job.order.client, 0)))
        self.waiting.remove(job)
        waits = {other.order.client for other in self.waiting}
        self._served = {client: turn for client, turn in self._served.items() if client in waits}
        self._served[job.order.client] = next(self._turns)
        self.running[job] = Pace(time.monotonic())
        return job

    def places(self) -> Mapping[Job, tuple[int, float]]:
        """Of each waiting job its place, 1 being next, and the work until its picture is there.

        Worked out once for each state of the queue: a list of all jobs asks for every one of them.
        """
        state = (tuple(self.waiting), tuple(self._served.items()))
        if state != self._state:
            order = self.order()
            works = accumulate(_work(job) for job in order)
            self._state, self._places = state, dict(zip(order, enumerate(works, 1), strict=True))
        return self._places

    def note(self, job: Job) -> None:
        """A running job has told where it is."""
        if job in self.running:
            self.running[job].note(job.stage, job.step, time.monotonic())

    def leave(self, job: Job) -> None:
        """A job runs no longer."""
        self.running.pop(job, None)

    def drop(self, job: Job) -> None:
        """A job waits no longer."""
        if job in self.waiting:
            self.waiting.remove(job)

    def learn(self, job: Job) -> None:
        """Learn from a running job that has just drawn its picture."""
        rate = self.running[job].spent(time.monotonic()) / _work(job)
        self._seconds_per_work += _NEWEST_WEIGHS * (rate - self._seconds_per_work)

    def eta_s(self, job: Job) -> float:
        """About how long until this job's picture is there, in seconds, from what earlier ones took."""
        if job in self.running:
            return self.running[job].left(job.steps, self._seconds_per_work * _work(job), time.monotonic())
        _, work = self.places().get(job, (0, 0.0))
        ahead = self._seconds_per_work * work
        return (ahead + sum(self.eta_s(other) for other in self.running)) / max(1, self.concurrency)

    def wait_s(self) -> float:
        """About how long until a place in the queue is free, in seconds: until the first running job ends."""
        ends = [self.eta_s(job) for job in self.running]
        return min(ends, default=self._seconds_per_work * _STANDARD_WORK)

    @property
    def _busy(self) -> int:
        """Pictures being drawn; a job between two of its pictures keeps its place."""
        return sum(max(1, job.active_images) for job in self.running)


def _work(job: Job) -> float:
    """What a job costs, in denoised pixels."""
    return float(job.steps * job.request.width * job.request.height)

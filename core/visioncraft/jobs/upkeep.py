"""What a server does for its ledger while it serves: it forgets old jobs, and keeps its share of a shared ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from visioncraft.errors import StorageError
from visioncraft.jobs.dispatcher import Dispatcher
from visioncraft.jobs.job import Job
from visioncraft.jobs.ledger.contract import Ledger
from visioncraft.settings import JobsSettings

log = logging.getLogger(__name__)

_FORGET_EVERY_S = 600.0
_BEATS_A_LEASE = 3  # two may be late


class Upkeep:
    """Two loops beside the queue.

    Args:
        ledger: What is looked after.
        dispatcher: Runs what this server holds, and gives up what it does not any more.
        limits: `[jobs]`.
        take_up: Queues a job that another server left.
    """

    def __init__(
        self, ledger: Ledger, dispatcher: Dispatcher, limits: JobsSettings, take_up: Callable[[Job], Awaitable[None]]
    ) -> None:
        self._ledger, self._dispatcher, self._limits, self._take_up = ledger, dispatcher, limits, take_up
        self._loops: list[asyncio.Task[None]] = []

    @property
    def begun(self) -> bool:
        """Whether the loops run."""
        return bool(self._loops)

    def begin(self) -> None:
        """Run until `end`."""
        self._loops = [asyncio.create_task(_repeat(self.forget, _FORGET_EVERY_S))]
        if self._ledger.shared:
            self._loops.append(asyncio.create_task(_repeat(self.share, self._limits.lease_s / _BEATS_A_LEASE)))

    def end(self) -> None:
        """Stop both loops."""
        for loop in self._loops:
            loop.cancel()

    async def forget(self) -> None:
        """Drop the jobs that ended long enough ago."""
        with suppress(StorageError):  # there is a next time
            await self._ledger.forget(datetime.now(UTC) - timedelta(seconds=self._limits.keep_ended_s))

    async def share(self) -> None:
        """Renew the leases, give up the jobs that another server took over, and take over those of servers gone."""
        with suppress(StorageError):  # there is a next time, and after some of them others take the jobs
            accepted = self._dispatcher.accepted()
            held = await self._ledger.heartbeat()
            for job in accepted:
                if job.id not in held and not job.ended:
                    self._dispatcher.give_up(job)
            for job in await self._ledger.take_over():
                await self._take_up(job)


async def _repeat(work: Callable[[], Awaitable[None]], pause_s: float) -> None:
    while True:
        await asyncio.sleep(pause_s)
        try:
            await work()
        except Exception:  # a plugin's ledger may raise anything; without heartbeats others would take every job
            log.exception("the ledger could not be looked after; it is tried again in %g s", pause_s)

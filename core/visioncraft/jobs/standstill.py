"""Standing still while the disk takes nothing: what is to be kept waits in memory, and is tried until it is kept."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TypeVar

from visioncraft.errors import JobCancelled, StorageError, VisionCraftError
from visioncraft.jobs.faults import is_its_own, is_momentary
from visioncraft.jobs.job import Job

log = logging.getLogger(__name__)
T = TypeVar("T")

WAITING = "waiting for the disk"
"""The stage of a job whose picture is drawn and cannot be kept yet."""

LOOKS_S = (0.25, 0.5, 1.0, 2.0, 4.0, 5.0)
"""Seconds from one look at the disk to the next; the last of them for as long as it takes."""

LASTING_S = 5.0
"""Seconds after which somebody who waits for a picture is told instead."""

_TRIES = 5
"""For what a store refuses while it says that it has room and names no fault of the disk."""


@dataclass(slots=True, eq=False)
class _Trouble:
    """Something that could not be kept yet.

    Args:
        job: Whose it is, where its end would make it unwanted.
        wake: Done at the next look at the disk.
        refused: How often the store refused it for no reason that lies with the disk.
    """

    job: Job | None
    wake: asyncio.Future[None] | None = None
    refused: int = 0


class Standstill:
    """Whether the service stands still because something cannot be kept, and why. Used in one event loop.

    Args:
        check_room: Raises `StorageError` where the store takes no picture at all.
        changed: Called when the service begins to stand still, and when it goes on.
    """

    def __init__(self, check_room: Callable[[], Awaitable[None]], changed: Callable[[], None]) -> None:
        self.reason: str | None = None
        self.lasting = asyncio.Event()
        """Set while the service has stood still for longer than a moment."""
        self._check_room, self._changed = check_room, changed
        self._troubles: set[_Trouble] = set()
        self._look_now = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._began = 0.0
        self._closed = False

    async def insist(
        self,
        work: Callable[[], Awaitable[T]],
        job: Job | None = None,
        kinds: tuple[type[Exception], ...] = (StorageError, OSError),
    ) -> T:
        """Do something until it is done, however long the disk takes nothing.

        Args:
            work: What to do; called again at every look at the disk.
            job: Whose it is; where that is cancelled, this ends.
            kinds: The errors that may be the disk's.

        Raises:
            JobCancelled: The job was cancelled meanwhile.
            asyncio.CancelledError: The server ends.
            Exception: What `work` raises, where that is not the disk's fault.
        """
        trouble = _Trouble(job)
        try:
            while True:
                try:
                    done = await work()
                except kinds as error:
                    if not await self._mends(trouble, error):
                        raise
                    await self._wait(trouble, error)
                else:
                    self.look()
                    return done
        finally:
            self._leave(trouble)

    def holds(self, job: Job) -> bool:
        """Whether something of a job waits to be kept."""
        return any(trouble.job is job for trouble in self._troubles)

    def look(self) -> None:
        """Look at the disk now: something was written, so it may be back."""
        self._look_now.set()

    def release(self, job: Job) -> None:
        """A job was cancelled: nothing of it waits any longer."""
        for trouble in self._troubles:
            if trouble.job is job:
                _wake(trouble)

    def close(self) -> None:
        """The server ends: nobody waits any longer."""
        self._closed = True
        for trouble in self._troubles:
            if trouble.wake is not None:
                trouble.wake.cancel()

    async def _mends(self, trouble: _Trouble, error: Exception) -> bool:
        """Whether it is worth another try: what names no fault of the disk is tried a few times."""
        if is_its_own(error):
            return False
        if is_momentary(error):
            return True
        try:
            await self._check_room()
        except StorageError:
            return True
        trouble.refused += 1
        return trouble.refused < _TRIES

    async def _wait(self, trouble: _Trouble, error: Exception) -> None:
        _check(trouble)
        if self._closed:
            raise asyncio.CancelledError
        self._troubles.add(trouble)
        trouble.wake = asyncio.get_running_loop().create_future()
        self._stand(" ".join((error.message if isinstance(error, VisionCraftError) else str(error)).split()))
        await trouble.wake
        _check(trouble)

    def _stand(self, reason: str) -> None:
        began, self.reason = self.reason is None, reason
        if began:
            log.warning("%s. Until then the queue stands still, and what was drawn waits in memory", reason)
            self._began = time.monotonic()
            self._looking = asyncio.create_task(self._look_again())
            self._changed()

    async def _look_again(self) -> None:
        for pause in chain(LOOKS_S, repeat(LOOKS_S[-1])):
            self._look_now.clear()
            try:
                await asyncio.wait_for(self._look_now.wait(), pause)
            except TimeoutError:
                if time.monotonic() - self._began >= LASTING_S:
                    self.lasting.set()
            for trouble in self._troubles:
                _wake(trouble)

    def _leave(self, trouble: _Trouble) -> None:
        """Whatever became of it, it waits no longer; with the last of them the service goes on."""
        self._troubles.discard(trouble)
        if self.reason is None or self._troubles or self._closed:
            return
        log.info("The queue goes on after it stood still for %.0f s", time.monotonic() - self._began)
        if self._looking is not None:
            self._looking.cancel()
        self.reason = None
        self.lasting.clear()
        self._changed()


def _wake(trouble: _Trouble) -> None:
    if trouble.wake is not None and not trouble.wake.done():
        trouble.wake.set_result(None)


def _check(trouble: _Trouble) -> None:
    if trouble.job is not None and trouble.job.cancel_requested:
        raise JobCancelled

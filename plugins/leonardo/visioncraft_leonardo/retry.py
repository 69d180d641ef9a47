"""Trying again, for as long as it is worth it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from visioncraft_leonardo.errors import Busy, NotListed, TransientError
from visioncraft_leonardo.settings import LeonardoSettings

GRACE_S = 5.0
"""How long a cancelled job waits for the answer to its order."""

T = TypeVar("T")


class Tries:
    """How often, and for how long.

    Args:
        settings: The bounds.
    """

    def __init__(self, settings: LeonardoSettings) -> None:
        self._settings = settings

    async def retry(
        self, work: Callable[[], Awaitable[T]], kind: type[TransientError], enough: Callable[[RetryCallState], bool]
    ) -> T:
        """Try until it goes well, with growing, jittered pauses, or as long as Leonardo.ai asks for.

        Args:
            work: One try.
            kind: What is worth another try; the last one passes on.
            enough: Whether there is none.
        """
        first, longest = self._settings.poll_s, self._settings.poll_max_s
        # Not wait_exponential_jitter, whose first argument has another name since tenacity 9.2.
        backing_off = wait_exponential(multiplier=first, max=longest, exp_base=1.5) + wait_random(0, first / 2)

        def pause(state: RetryCallState) -> float:
            asked = getattr(state.outcome.exception() if state.outcome else None, "retry_after", None)
            return max(min(backing_off(state), longest), asked or 0.0)

        tries = AsyncRetrying(retry=retry_if_exception_type(kind), stop=enough, wait=pause, reraise=True)
        async for attempt in tries:
            with attempt:
                return await work()
        raise AssertionError("tenacity ends with an answer or an exception")

    def out_of_attempts(self, state: RetryCallState) -> bool:
        """Enough of what goes well or not at once: the tries are used up, or the next one is too far away."""
        error = state.outcome.exception() if state.outcome else None
        too_long = isinstance(error, Busy) and (error.retry_after or 0) > self._settings.time_limit_s
        return too_long or stop_after_attempt(self._settings.attempts)(state)

    def waited_long_enough(self, state: RetryCallState) -> bool:
        """Enough of what takes its time: a picture's, or that of an order to show up in a list."""
        gone = state.outcome is not None and isinstance(state.outcome.exception(), NotListed)
        limit = self._settings.reconcile_s if gone else self._settings.time_limit_s
        return (state.seconds_since_start or 0.0) >= limit


async def uninterrupted(work: Awaitable[T]) -> T:
    """Await work that must not be cut in two; whoever cancels meanwhile waits for it, up to `GRACE_S`."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=GRACE_S)
        if not task.cancel() and not task.cancelled():
            task.exception()  # asyncio reports an exception that nobody looked at
        raise

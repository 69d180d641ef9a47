"""Leonardo.ai's limits, kept here so that jobs wait in turn instead of being refused, and a circuit breaker."""

from __future__ import annotations

from aiolimiter import AsyncLimiter
from circuitbreaker import CircuitBreaker
from visioncraft import ServiceUnavailable

from visioncraft_leonardo.errors import Busy, TransientError
from visioncraft_leonardo.settings import LeonardoSettings

REQUESTS_PER_MINUTE = 2000
_BURST = 10  # as many as are drawn at once


class Pace:
    """When to ask. One for all jobs of a generator, used in one event loop.

    A leaky bucket lets a burst and then its rate through: with a burst of b and a rate of n - b a minute, no 60 seconds
    see more than n.

    Args:
        settings: The bounds.
    """

    def __init__(self, settings: LeonardoSettings) -> None:
        self.posts = _at_most(settings.posts_per_minute)
        self.requests = _at_most(REQUESTS_PER_MINUTE)
        self.breaker = CircuitBreaker(
            failure_threshold=settings.breaker_failures,
            recovery_timeout=settings.breaker_pause_s,
            expected_exception=_says_that_it_is_away,
            name="leonardo",
        )

    def refuse_when_away(self) -> None:
        """Refuse an order while Leonardo.ai has failed too often in a row.

        Only orders ask: what was paid for is looked for whatever happens.

        Raises:
            ServiceUnavailable: It failed too often.
        """
        if self.breaker.opened:
            seconds = max(1, self.breaker.open_remaining)
            raise ServiceUnavailable(
                f"Leonardo.ai does not answer; it is asked again in {seconds} s", retry_after=seconds
            )


def _at_most(per_minute: int) -> AsyncLimiter:
    burst = min(_BURST, per_minute // 2)
    return AsyncLimiter(burst, 60 * burst / (per_minute - burst))


def _says_that_it_is_away(_kind: type[BaseException], error: BaseException) -> bool:
    return isinstance(error, TransientError) and not isinstance(error, Busy)

"""What can go wrong on the way to Leonardo.ai, by what it says of the request's fate, and its errors in our words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from visioncraft import AuthenticationError, RateLimitExceeded, ServiceUnavailable, UpstreamError, VisionCraftError

KEY_HELP = "set one with POST /api-key, `visioncraft api-key leonardo-api` or LEONARDO_API_KEY"
_BAD_KEY = "invalid response from authorization hook"  # a key that is no UUID gets 500
_LONGEST_QUOTE = 300


class TransientError(Exception):
    """It may go better next time."""


class NotArrived(TransientError):
    """The request provably did nothing: no connection came about."""


class Busy(NotArrived):
    """Refused for now, with 429.

    Args:
        retry_after: Seconds, where Leonardo.ai said so.
    """

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("429 Too Many Requests")
        self.retry_after = retry_after


class Lost(TransientError):
    """The request may have done its work; its answer is not there or makes no sense."""


class Pending(TransientError):
    """It is being drawn."""


class NotListed(TransientError):
    """Leonardo.ai knows no such generation, or not yet."""


def problem_of(status: int, document: Any, headers: Mapping[str, str], key: str) -> Exception | None:
    """What an answer says went wrong, if anything.

    Args:
        status, document, headers: The answer; `document` is None where its body is no JSON.
        key: Cut out of anything that is quoted.
    """
    said = _words(document, status, key)
    if status == 401 or _BAD_KEY in said.lower():
        return AuthenticationError(f"Leonardo.ai refused the API key; {KEY_HELP}", api_error=said)
    if status == 429:
        return Busy(retry_after(headers.get("retry-after")))
    if 400 <= status < 500 and status != 408:
        return UpstreamError("Leonardo.ai generation failed", api_error=said, suggestion=_suggestion(status, said))
    if not 200 <= status < 300:
        return Lost(f"HTTP {status}: {said}")
    return None if isinstance(document, dict) else Lost("the answer is no JSON object")


def to_api_error(trouble: BaseException) -> VisionCraftError:
    """What a client hears of trouble that did not pass, where nothing was ordered."""
    if isinstance(trouble, Busy):
        return RateLimitExceeded("Leonardo.ai takes no more requests for now", retry_after=trouble.retry_after or 60.0)
    return ServiceUnavailable(f"Leonardo.ai cannot be reached ({trouble}); try again later", api_error=str(trouble))


def retry_after(value: str | None) -> float | None:
    """Seconds in a Retry-After header (RFC 9110, 10.2.3): a number or a date. None where it says neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value)) if value.strip().isdigit() else _seconds_until(parsedate_to_datetime(value))
    except (ValueError, TypeError):
        return None


def _seconds_until(moment: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _words(document: Any, status: int, key: str) -> str:
    said = document.get("error") if isinstance(document, dict) else None
    text = said if isinstance(said, str) and said.strip() else f"HTTP {status}"
    return text.replace(key, "***")[:_LONGEST_QUOTE]


def _suggestion(status: int, said: str) -> str:
    lower = said.lower()
    if "moderation" in lower:
        return "Change the prompt: Leonardo.ai's content moderation refused it"
    if "model" in lower or "not supported within the production api" in lower:
        return "Check available models"
    if status in (402, 403) or "credit" in lower or "token" in lower:
        return "Check the plan and the credits of the account at Leonardo.ai"
    return "Change the request as the message says; GET /models lists what is taken"

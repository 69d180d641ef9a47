"""Names of pictures and jobs: ULIDs (https://github.com/ulid/spec) behind a prefix that says what they name.

48 bits of milliseconds since 1970 and 80 random bits as 26 digits of Crockford's base 32, in lower case: ids sort by
time as plain text, and nothing in them means anything to a file system.
"""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
_IMAGE_ID = re.compile(rf"img_{_ULID}")
_JOB_ID = re.compile(rf"job_{_ULID}")


def new_image_id() -> str:
    """A fresh picture id: `img_` and 26 characters, sortable by time."""
    return "img_" + _ulid()


def new_job_id() -> str:
    """A fresh job id: `job_` and 26 characters, sortable by time."""
    return "job_" + _ulid()


def following(named: str, count: int) -> str:
    """The id that stands `count` places after another of its kind: the same whenever it is asked for."""
    prefix, ulid = named[:4], named[4:]
    number = 0
    for digit in ulid:
        number = number << 5 | _DIGITS.index(digit)
    return prefix + _spelled((number >> 80 << 80) | ((number + count) & (1 << 80) - 1))


def image_time(image_id: str) -> datetime:
    """When a picture id was drawn, in UTC, to the millisecond."""
    number = 0
    for digit in image_id.removeprefix("img_")[:10]:
        number = number << 5 | _DIGITS.index(digit)
    return datetime.fromtimestamp(number / 1000, UTC)


def is_image_id(text: str) -> bool:
    """Whether `text` has exactly the shape `new_image_id` gives: the first check on every id from outside."""
    return _IMAGE_ID.fullmatch(text) is not None


def is_job_id(text: str) -> bool:
    """Whether `text` has exactly the shape `new_job_id` gives."""
    return _JOB_ID.fullmatch(text) is not None


def image_filename(image_id: str, created_at: datetime) -> str:
    """The file name of a picture, `generated_image_20261123_123456_<last 6 of the id>.png`, in UTC."""
    return f"generated_image_{created_at.astimezone(UTC):%Y%m%d_%H%M%S}_{image_id[-6:]}.png"


def _ulid() -> str:
    return _spelled((time.time_ns() // 1_000_000 << 80) | secrets.randbits(80))


def _spelled(number: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))

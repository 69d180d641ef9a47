"""Memory that comes back."""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # mallopt(3), glibc
_LARGE = 64 * 1024  # bytes: the parts in which bodies come are larger


def give_back_what_is_large() -> None:
    """Have glibc hand large blocks back to the system as soon as they are free.

    By default it begins to keep blocks of up to 32 MiB once one of that size has been freed, and small ones between
    them then hold them: a server that has received large bodies would stay as large as they were.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)

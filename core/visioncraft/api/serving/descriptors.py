"""File descriptors: as many as the system allows, and some of them never for clients."""

from __future__ import annotations

import resource

_ENOUGH = 65536  # a soft limit that is never raised further: some programs look through all descriptors they may have
_RESERVE = 256  # for the ledger, the gallery's files, workers and plugins' own connections


def room_for_clients(wanted: int) -> int:
    """How many connections may be open at once: `wanted`, or what the limit of open files leaves beside the reserve.

    Raises the soft limit to the hard one first. Half of a very low limit is kept in reserve.
    """
    soft = _raised()
    return max(1, min(wanted, soft - min(_RESERVE, soft // 2)))


def _raised() -> int:
    """The soft limit of open files, after it was raised where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= goal:
        return _ENOUGH if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
    except (OSError, ValueError):  # macOS names a hard limit that it does not grant
        return soft
    return goal

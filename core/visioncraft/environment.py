"""Secrets that come as environment variables: read once, then readable there by nobody else."""

from __future__ import annotations

import os
import sys

SECRETS = frozenset({"VISIONCRAFT_TOKEN", "LEONARDO_API_KEY"})
"""Variables that no other process needs."""

_PR_SET_DUMPABLE = 4  # prctl(2), Linux

_hidden: dict[str, str] = {}  # the process has one environment, and this is a part of it


def secret(name: str) -> str | None:
    """What a variable of `SECRETS` was set to; None where it is absent or empty."""
    return os.environ.get(name) or _hidden.get(name)


def hide_secrets() -> None:
    """Take the secrets out of the environment, also out of the memory that `/proc/<pid>/environ` shows.

    Processes that are started from now on do not inherit them, and on Linux only root may look into this one then.
    """
    found = SECRETS & os.environ.keys()
    for name in found:
        _hidden[name] = os.environ[name]
        _overwrite(name)
        del os.environ[name]
    if found and sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def _overwrite(name: str) -> None:
    """Fill a variable's value with zeros where it lies: to unset it only takes it off the list."""
    import ctypes

    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    address = getenv(os.fsencode(name))
    if address:
        ctypes.memset(address, 0, len(os.environb[os.fsencode(name)]))

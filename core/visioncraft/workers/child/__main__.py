"""`python -m visioncraft.workers.child FD PARENT`: speak `messages` over the socket `FD` till the server ends."""

from __future__ import annotations

import ctypes
import os
import socket
import sys

from visioncraft.workers.lifeline import die_with

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # mallopt(3), glibc
_NEVER = 2**31 - 1


def main() -> None:
    """Serve, or say in the first message why not."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    _keep_memory()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a generator prints is no command's output
    connection = socket.socket(fileno=descriptor)
    from visioncraft.workers.child.session import serve

    serve(connection)


def _keep_memory() -> None:
    """Let glibc keep what is freed, for whichever thread asks next.

    By default it hands the memory of large tensors back to the kernel after every step and is given it again page by
    page, zeroed: a fifth of a VAE's time for one picture, half of it for four. `malloc_trim` still gives it back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in ((_M_TRIM_THRESHOLD, _NEVER), (_M_MMAP_MAX, 0), (_M_ARENA_MAX, 1)):
            mallopt(option, value)


if __name__ == "__main__":
    main()

"""`python -m visioncraft.worker FD PARENT`: speak `wire` over the inherited socket `FD` until the server ends."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2), Linux


def main() -> None:
    """Serve, or say in the first message why not."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a generator prints is no command's output
    connection = socket.socket(fileno=descriptor)
    from visioncraft.worker.session import serve

    serve(connection)


def _die_with(parent: int) -> None:
    """Let the kernel end this process with the server, even while native code holds the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the kernel knew
        os._exit(1)


if __name__ == "__main__":
    main()

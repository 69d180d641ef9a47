"""`python -m visioncraft.decoding FD PARENT MEMORY SECONDS`: decode what comes over the inherited socket `FD`.

MEMORY is what one picture may take, in bytes, and SECONDS the processor time.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import warnings
from pathlib import Path

from visioncraft.workers.lifeline import die_with

_LESS_URGENT = 5  # a server that answers comes before a picture that is being decoded


def main() -> None:
    """Work until the server closes the socket."""
    descriptor, parent, memory, seconds = map(int, sys.argv[1:])
    die_with(parent)
    os.nice(_LESS_URGENT)
    connection = socket.socket(fileno=descriptor)
    from visioncraft.decoding.tasks import perform, to_decoder
    from visioncraft.workers.messages import frame, receive

    _warm_up()
    _bound(memory)
    while True:
        try:
            task = receive(connection, to_decoder)
        except EOFError:
            return
        _allow(seconds)
        connection.sendall(frame(perform(task)))


def _warm_up() -> None:
    """Load what every picture needs before memory is bounded: a library is no picture's affair."""
    import numpy as np
    from PIL import Image

    from visioncraft.decoding.tasks import Fit, perform
    from visioncraft.images.png import encode_png

    Image.init()
    warnings.simplefilter("ignore")  # what Pillow thinks of a client's EXIF is no line for the server's log
    perform(Fit(encode_png(np.zeros((1, 1, 3), np.uint8)), 8, 8, "picture"))


def _bound(memory: int) -> None:
    """So much memory beyond what is in use, and no file written, a core dump included."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the kernel does not hold a process to its address space
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))


def _allow(seconds: int) -> None:
    """Processor time for the next task; past it the kernel ends this process (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


if __name__ == "__main__":
    main()

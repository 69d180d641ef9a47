"""One decoding process as the server sees it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from visioncraft.decoding.tasks import Answer, Task, from_decoder
from visioncraft.errors import ProtocolError, ServiceUnavailable
from visioncraft.images.pixels import NoPicture, TooMuch
from visioncraft.settings import PicturesSettings
from visioncraft.workers.messages import frame, receive

log = logging.getLogger(__name__)

_NEEDED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""All that a decoding process sees of the server's environment."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each more would reserve memory
_START_S = 20.0
_PATIENCE = 4  # on a busy machine a process gets a part of a processor: seconds on the clock for one of its own


class Decoder:
    """A process that is started when it is first needed, and again after it was lost. One thread asks it.

    Args:
        bounds: What one picture may take.
    """

    def __init__(self, bounds: PicturesSettings) -> None:
        self._bounds = bounds
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None

    def ask(self, task: Task) -> Answer:
        """Have it done. Raises `NoPicture` where that takes too long or ends the process."""
        allowed_s = self._bounds.time_limit_s * _PATIENCE + (0 if self.running else _START_S)
        connection = self._started()
        try:
            connection.settimeout(allowed_s)
            connection.sendall(frame(task))
            answer: Answer = receive(connection, from_decoder)
        except TimeoutError:
            self.end()
            raise self._too_long() from None
        except (EOFError, OSError, ProtocolError):
            raise self._exit_reason() from None
        return answer

    def end(self) -> None:
        """End the process at once, from any thread. The next task starts another one."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        if process is not None:
            process.kill()
            process.wait()
        if connection is not None:
            connection.close()

    def _started(self) -> socket.socket:
        if self._connection is not None:
            return self._connection
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "visioncraft.decoding", str(theirs.fileno()), str(os.getpid())]
            command += [str(self._bounds.memory_limit_mb * 2**20), str(self._bounds.time_limit_s)]
            environment = {name: os.environ[name] for name in _NEEDED if name in os.environ} | _ONE_THREAD
            try:
                self._process = subprocess.Popen(  # noqa: S603 - ours
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env=environment,
                )
            except OSError as error:
                ours.close()
                raise ServiceUnavailable(f"No process to decode pictures can be started: {error.strerror}") from error
        self._connection = ours
        return ours

    def _exit_reason(self) -> NoPicture:
        """How the process ended; one that only closed its socket, or said nonsense, is ended first."""
        process = self._process
        with suppress(subprocess.TimeoutExpired):
            if process is not None:
                process.wait(1)
        code = None if process is None else process.returncode
        self.end()
        if code == -signal.SIGXCPU:
            return self._too_long()
        log.warning("a process that decoded a picture ended (code %s)", code)
        return NoPicture("ends the process that decodes it; save it anew in another program")

    def _too_long(self) -> TooMuch:
        return TooMuch(f"takes more than {self._bounds.time_limit_s} s to decode (pictures.time_limit_s)")

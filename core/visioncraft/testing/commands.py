"""Commands in processes of their own, as tests start them.

To import what it needs takes a command longer than to do its work. Where pytest's setting `visioncraft_fork` names
modules, the commands of this interpreter's environment are forked from a process that has imported these already
(`fork_server`). Everything else, and every command elsewhere, is started by exec.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from types import TracebackType
from typing import IO, Any, Self, TypeAlias

from visioncraft.testing.fork_server import LENGTH, NUMBER, Request

PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT

Stream: TypeAlias = int | IO[Any] | None
"""What `subprocess.Popen` takes for stdin, stdout and stderr."""

_SERVE = "import sys; from visioncraft.testing.fork_server import serve; exec(serve(int(sys.argv[1]), *sys.argv[2:]))"

imported_ahead: tuple[str, ...] = ()
"""The modules that commands are forked with; none where they are started by exec."""


class Forked:
    """A command that was forked: the part of `subprocess.Popen` that tests use, with text in its pipes."""

    def __init__(self, request: Request, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        self.args: Sequence[str] = request.command
        self.returncode: int | None = None
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        self._lock = Lock()
        with ExitStack() as handed:
            read, written = self._stream(0, stdin, handed), self._stream(1, stdout, handed)
            told = written if stderr == STDOUT else self._stream(2, stderr, handed)
            self._answer = _fork_server(os.getpid()).start(request, (read, written, told))
        self.pid = self._told()

    def _stream(self, number: int, wanted: Stream, handed: ExitStack) -> int:
        """The command's descriptor; where that is a pipe, our end becomes an attribute."""
        if wanted is None:
            return number
        if wanted != PIPE:
            return wanted if isinstance(wanted, int) else int(wanted.fileno())
        ours, theirs = os.pipe() if number else reversed(os.pipe())
        handed.callback(os.close, theirs)
        setattr(self, ("stdin", "stdout", "stderr")[number], os.fdopen(ours, "r" if number else "w"))
        return theirs

    def _told(self) -> int:
        said = self._answer.recv(NUMBER.size)
        if not said:
            raise RuntimeError("the process that forks commands is gone")
        return int(NUMBER.unpack(said)[0])

    def poll(self) -> int | None:
        """The exit code, as `wait` answers it; None while the command runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code, which is negative for a signal. Raises `subprocess.TimeoutExpired`."""
        with self._lock:
            if self.returncode is None:
                self._answer.settimeout(timeout)
                try:
                    self.returncode = self._told()
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
                self._answer.close()
            return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it writes into its pipes until it ends. Raises `subprocess.TimeoutExpired`."""
        if self.stdin is not None:
            self.stdin.close()
        readers = ThreadPoolExecutor(2)
        said = [readers.submit(pipe.read) for pipe in (self.stdout, self.stderr) if pipe is not None]
        try:
            told = [each.result(timeout) for each in said]
        except TimeoutError:
            raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
        finally:
            readers.shutdown(wait=False)
        self.wait(timeout)
        return (told.pop(0) if self.stdout else ""), (told.pop(0) if self.stderr else "")

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.wait()


Process: TypeAlias = subprocess.Popen[str] | Forked


def start(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    cwd: Path,
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    namespaces_of: int = 0,
) -> Process:
    """Start a command, whose pipes hold text.

    Args:
        command, env, cwd, stdin, stdout, stderr: As `subprocess.Popen` takes them.
        namespaces_of: A process whose disks the command is to see (its user and mount namespaces, on Linux).
    """
    words = list(map(str, command))
    if imported_ahead and hasattr(os, "fork") and _is_of_this_interpreter(words[0]):
        return Forked(Request(words, dict(env), str(cwd), namespaces_of), stdin, stdout, stderr)
    if namespaces_of:
        words = [*seeing_the_disks_of(namespaces_of), *words]
    return subprocess.Popen(  # noqa: S603 - what a test starts
        words, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, text=True
    )


def seeing_the_disks_of(process: int) -> Sequence[str]:
    """The command that starts another one in the user and mount namespaces of a process."""
    return ["nsenter", "-t", str(process), "-U", "-m", "--preserve-credentials", "--"]


def run(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
    text: str = "",
    namespaces_of: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Run a command that reads `text` from stdin to its end. Raises `subprocess.TimeoutExpired`."""
    with TemporaryFile("w+") as stdin, TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        stdin.write(text)
        stdin.seek(0)
        process = start(command, env, cwd, stdin=stdin, stdout=stdout, stderr=stderr, namespaces_of=namespaces_of)
        try:
            status = process.wait(timeout)
        except BaseException:
            process.kill()
            raise
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess(process.args, status, stdout.read(), stderr.read())


@cache
def _is_of_this_interpreter(command: str) -> bool:
    """Whether it is a Python script that was installed beside this interpreter."""
    if Path(command).parent != Path(sys.executable).parent:
        return False
    with Path(command).open("rb") as script:
        first = script.readline()
    return first.startswith(b"#!") and b"python" in first


class _ForkServer:
    """The process that forks. It ends when its socket closes, at the latest with this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests, theirs = socket.socketpair()
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with theirs:
            number = str(theirs.fileno())
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-c", _SERVE, number, *imported_ahead],
                env=env | {"OPENBLAS_NUM_THREADS": "1"},  # numpy's library starts threads, and none may be there
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def start(self, request: Request, streams: tuple[int, int, int]) -> socket.socket:
        """Have a command forked; answers what its process number and its exit code come through."""
        ours, theirs = socket.socketpair()
        content = json.dumps(asdict(request)).encode()
        with theirs, self._lock:
            socket.send_fds(self._requests, [LENGTH.pack(len(content))], [*streams, theirs.fileno()])
            self._requests.sendall(content)
        return ours

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def _fork_server(owner: int) -> _ForkServer:
    """The one of this process, which a process that pytest forks does not share."""
    return _ForkServer()

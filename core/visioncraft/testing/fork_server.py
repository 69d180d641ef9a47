"""A process that has imported what commands start with, and forks one for each that tests start.

Importing takes a command more time than anything it does. `visioncraft.testing.commands` speaks with this process; it
reads a request's length and descriptors, then the request (`Request`), and answers with the command's process number
and, when it has ended, its exit code, each through the request's own socket.

The child becomes what the interpreter would have made of the command: its arguments, environment, folder, streams,
signals and module path. Where that cannot be done, since something was fixed when this process began, it calls exec.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import CodeType
from typing import Any

LENGTH = struct.Struct("!I")
"""How long a request is, which comes with the descriptors of stdin, stdout, stderr and the answer."""
NUMBER = struct.Struct("!i")
"""What is answered: a process number, then an exit code."""
DESCRIPTORS = 4

_FIXED = ("PYTHON", "LC_", "LANG", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "OMP_", "TYPER_")
"""How variables begin that are read once, at the start of an interpreter or of a library."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command to start: a script of this interpreter with its arguments, its whole environment, and its folder.

    Args:
        command, env, cwd: As `subprocess.Popen` takes them.
        namespaces_of: A process whose user and mount namespaces it enters; 0 for none.
    """

    command: list[str]
    env: dict[str, str]
    cwd: str
    namespaces_of: int = 0


class _Child(Exception):
    """The way out of the loop for a child."""

    def __init__(self, request: Request, streams: list[int]) -> None:
        self.request, self.streams = request, streams


class ForkServer:
    """The loop: takes requests until the process that makes them is gone."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._fixed = _fixed(os.environ)
        self._path = sys.path[1:]  # without that of `-c`
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._answers: dict[int, int] = {}

    def code(self) -> CodeType:
        """Serve; returns in each child, with the script that it is to run."""
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the tests' terminal is for them
        waiting = select.poll()
        waiting.register(self._requests, select.POLLIN)
        waiting.register(self._woken, select.POLLIN)
        try:
            while True:
                for descriptor, _ in waiting.poll():
                    self._reap() if descriptor == self._woken else self._fork()
        except _Child as child:
            self._leave_server()
            return self._become(child.request, child.streams)

    def _fork(self) -> None:
        head, descriptors, _, _ = socket.recv_fds(self._requests, LENGTH.size, DESCRIPTORS)
        if not head:
            sys.exit()
        *streams, answer = descriptors
        request = Request(**json.loads(_whole(self._requests, *LENGTH.unpack(head))))
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # until the child handles them as it should
        child = os.fork()
        if child == 0:
            os.close(answer)
            raise _Child(request, streams)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        for stream in streams:
            os.close(stream)
        self._answers[child] = answer
        _tell(answer, child)

    def _reap(self) -> None:
        os.read(self._woken, select.PIPE_BUF)
        for child, answer in list(self._answers.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                _tell(answer, os.waitstatus_to_exitcode(status))
                os.close(self._answers.pop(child))

    def _leave_server(self) -> None:
        signal.set_wakeup_fd(-1)
        self._requests.close()
        for descriptor in (self._woken, self._wake, *self._answers.values()):
            os.close(descriptor)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())

    def _become(self, request: Request, streams: list[int]) -> CodeType:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        if request.namespaces_of:
            _enter_namespaces(request.namespaces_of)
        os.chdir(request.cwd)
        script = Path(request.command[0])
        places = [str(Path(place).absolute()) for place in request.env.get("PYTHONPATH", "").split(os.pathsep) if place]
        if _fixed(request.env) != self._fixed or _shadowing(places):
            _exec(request)
        os.environ.clear()
        os.environ.update(request.env)
        _open_streams()
        sys.argv, sys.orig_argv = list(request.command), [sys.executable, *request.command]
        sys.path[:] = dict.fromkeys((str(script.resolve().parent), *places, *self._path))
        sys.path_importer_cache.clear()
        importlib.invalidate_caches()
        tempfile.tempdir = None
        time.tzset()
        vars(sys.modules["__main__"])["__file__"] = str(script)
        return compile(script.read_bytes(), script, "exec")


def serve(requests: int, *modules: str) -> CodeType:
    """Import `modules`, then take requests from a socket; returns in each child, with the script that it is to run."""
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a child that looked for garbage in it would copy it all
    return ForkServer(socket.socket(fileno=requests)).code()


def _enter_namespaces(process: int) -> None:
    """Enter the user and mount namespaces of a process, as nsenter(1) does. `os.setns` comes with Python 3.12."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    with ExitStack() as opened:  # both before one is entered, from which the other could not be opened
        places = (Path(f"/proc/{process}/ns", kind) for kind in ("user", "mnt"))
        for namespace in [opened.enter_context(place.open()) for place in places]:
            if libc.setns(namespace.fileno(), 0):
                raise OSError(ctypes.get_errno(), f"the namespaces of {process} cannot be entered")


def _fixed(env: Any) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_FIXED) and name != "PYTHONPATH"}


def _shadowing(places: list[str]) -> bool:
    """Whether a folder has a module whose name another one has taken here."""
    taken = {name.partition(".")[0] for name in sys.modules}
    for place in places:
        with suppress(OSError):
            if any(path.name.partition(".")[0] in taken for path in Path(place).iterdir()):
                return True
    return False


def _exec(request: Request) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and `subprocess` gives back
        signal.signal(number, signal.SIG_DFL)
    os.execve(request.command[0], request.command, request.env)  # noqa: S606 - what a test starts


def _open_streams() -> None:
    """Begin stdin, stdout and stderr anew: whether one is a terminal was asked when they were made."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old: TextIOWrapper = getattr(sys, name)
        at_once = old.write_through  # PYTHONUNBUFFERED
        raw = os.fdopen(number, "wb" if number else "rb", 0 if at_once else -1, closefd=False)
        by_line = not at_once and (name == "stderr" or raw.isatty())
        stream = TextIOWrapper(raw, old.encoding, old.errors, "\n" if number else None, by_line, at_once)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _whole(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        content += connection.recv(length - len(content)) or sys.exit()
    return content


def _tell(answer: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits any more
        os.write(answer, NUMBER.pack(number))

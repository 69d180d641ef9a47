"""What is to be compiled, and the process of its own that does it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any, cast

from visioncraft import probe_device, with_patient_threads

from visioncraft_local_sd.compiling.child import MADE

_COMMAND = [sys.executable, "-m", "visioncraft_local_sd.compiling.child"]
_COMPILERS = {"darwin": "clang++", "win32": "cl"}  # as torch looks for them
_log = logging.getLogger("visioncraft.local_sd")


@dataclass(frozen=True, slots=True)
class Job:
    """One compilation.

    Args:
        config: The denoiser's configuration.
        dtype: Its precision, as torch names it.
        inputs: A call, as `calls.described` describes it.
    """

    config: Mapping[str, Any]
    dtype: str
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The package's file name: another one for whatever makes other code of it."""
        made_for = {
            **asdict(self),
            "versions": [version("torch"), version("diffusers")],
            "processor": probe_device(cpu_only=True).device_name,
        }
        return hashlib.sha256(json.dumps(made_for, sort_keys=True).encode()).hexdigest()[:32] + ".pt2"


class Compiler:
    """Compiles one job after another. What compiles ends with the process that this is in.

    Args:
        folder: Of packages; those that are there are used.
        nice: How much what compiles gives way to other processes: 0 not at all, 19 the most.
    """

    def __init__(self, folder: Path, nice: int = 10) -> None:
        self._folder, self._nice = folder, nice
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._closed = False
        self._threads: list[threading.Thread] = []

    def has(self, job: Job) -> bool:
        """Whether its package is there, and may be looked at."""
        try:
            return (self._folder / job.name).is_file()
        except OSError:
            return False

    def submit(self, job: Job, ready: Callable[[Path], None]) -> None:
        """Have it compiled and `ready` called with the package, from another thread; a failure is only logged."""
        thread = threading.Thread(target=self._work, args=(job, ready), name="compile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Until all that was submitted is done."""
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Drop what is not done: when this returns, nothing compiles any more."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                _kill(self._child)
        for thread in self._threads:
            thread.join()

    def _work(self, job: Job, ready: Callable[[Path], None]) -> None:
        package = self._folder / job.name
        try:
            with self._turn:
                if not package.is_file():
                    self._compile(job, package)
            if not self._closed:
                ready(package)
        except (OSError, RuntimeError) as error:
            if not self._closed:
                package.unlink(missing_ok=True)  # one that cannot be used is made again after the next start
                _log.warning(
                    "the denoiser stays as it is, it could not be compiled: %s; "
                    'install g++, or set plugins.config.local_sd.compile to "off"',
                    error,
                )

    def _compile(self, job: Job, package: Path) -> None:
        if shutil.which(compiler := os.environ.get("CXX", _COMPILERS.get(sys.platform, "g++"))) is None:
            raise RuntimeError(f"there is no {compiler}")
        _log.info("compiling the denoiser in the background")
        with TemporaryDirectory(prefix="visioncraft-compile-", ignore_cleanup_errors=True) as work:
            self._run(json.dumps({**asdict(job), "work": work, "nice": self._nice}))
            _put(Path(work) / MADE, package)
        _log.info("compiled the denoiser: %s", package)

    def _run(self, line: str) -> None:
        """Let a child do what the line says. Raises `RuntimeError` with its last word."""
        with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            with self._started(line, said) as child:
                code = child.wait()
            with self._lock:
                self._child = None
            said.seek(0)
            lines = said.read().strip().splitlines()
        if code:
            raise RuntimeError(lines[-1] if lines else f"exit status {code}")

    def _started(self, line: str, said: IO[str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._closed:
                raise RuntimeError("it is not wanted any more")
            self._child = child = subprocess.Popen(  # noqa: S603 - ours
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                text=True,
                env=with_patient_threads(os.environ),
                start_new_session=True,  # it and the compilers that it starts can be ended at once
            )
            pipe = cast(IO[str], child.stdin)
            pipe.write(line + "\n")
            pipe.flush()  # and stays open: the child ends with it
            return child


def _kill(child: subprocess.Popen[str]) -> None:
    """End a child and all that it started, whatever they are at."""
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


def _put(made: Path, package: Path) -> None:
    """Into its place, whole or not at all; only this user may write where code is loaded from."""
    package.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = package.with_name(f".{package.name}.{os.getpid()}")
    try:
        shutil.copyfile(made, beside)
        beside.replace(package)
    finally:
        beside.unlink(missing_ok=True)

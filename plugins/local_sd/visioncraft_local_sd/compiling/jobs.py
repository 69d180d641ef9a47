"""What is to be compiled, and the process of its own that does it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

from visioncraft import probe_device

_COMMAND = [sys.executable, "-m", "visioncraft_local_sd.compiling.child"]
_COMPILERS = {"darwin": "clang++", "win32": "cl"}  # as torch looks for them
_log = logging.getLogger("visioncraft.local_sd")


@dataclass(frozen=True, slots=True)
class Job:
    """One compilation.

    Parameters
    ----------
    config: The denoiser's configuration.
    dtype: Its precision, as torch names it.
    inputs: A call, as `calls.described` describes it.
    threads: What the code computes with.
    """

    config: Mapping[str, Any]
    dtype: str
    inputs: Mapping[str, Any]
    threads: int

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
    """Compiles one job after another. Ends with the process that it is in, and so do its children.

    Parameters
    ----------
    folder: Of packages; those that are there are used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._input: IO[str] | None = None  # of the child
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

    def wait(self, seconds: float | None = None) -> None:
        """Until all that was submitted is done; at most so many seconds for each."""
        for thread in self._threads:
            thread.join(seconds)

    def close(self) -> None:
        """Drop what is not done."""
        with self._lock:
            self._closed = True
            if self._input is not None:
                self._input.close()  # which ends it
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
        with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            with self._started(json.dumps({**asdict(job), "package": str(package)}), said) as child:
                code = child.wait()
            said.seek(0)
            lines = said.read().strip().splitlines()
        if code:
            raise RuntimeError(lines[-1] if lines else f"exit status {code}")
        _log.info("compiled the denoiser: %s", package)

    def _started(self, line: str, said: IO[str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._closed:
                raise RuntimeError("it is not wanted any more")
            pipe = subprocess.PIPE
            child = subprocess.Popen(_COMMAND, stdin=pipe, stdout=said, stderr=said, text=True)  # noqa: S603 - ours
            self._input = cast(IO[str], child.stdin)
            self._input.write(line + "\n")
            self._input.flush()  # and stays open: the child ends with it
            return child

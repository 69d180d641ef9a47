"""`python -m visioncraft_local_sd.compiling.child`: compiles what one line of JSON on its input describes.

It gives way to whatever else runs, and ends, with the compilers that it started, when its input does: whoever started
it is gone then, or wants it no more.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil


def _put(made: Path, package: Path) -> None:
    """Into its place, whole or not at all; only this user may write where code is loaded from."""
    package.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = package.with_name(f".{package.name}.{os.getpid()}")
    try:
        shutil.copyfile(made, beside)
        beside.replace(package)
    finally:
        beside.unlink(missing_ok=True)


def _end_with_the_input(work: str) -> None:
    sys.stdin.read()
    for process in psutil.Process().children(recursive=True):
        process.kill()
    shutil.rmtree(work, ignore_errors=True)
    os._exit(1)


def main() -> None:
    """Read the job, and do it in a folder that is gone afterwards."""
    job = json.loads(sys.stdin.readline())
    with TemporaryDirectory(prefix="visioncraft-compile-") as work:
        threading.Thread(target=_end_with_the_input, args=(work,), daemon=True).start()
        psutil.Process().nice(10 if os.name == "posix" else psutil.IDLE_PRIORITY_CLASS)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = work
        made = Path(work) / "made.pt2"
        from visioncraft_local_sd.compiling.export import compile_network  # seconds, in which it can be ended

        compile_network(job, made)
        _put(made, Path(job["package"]))


if __name__ == "__main__":
    main()

"""`python -m visioncraft_local_sd.compiling.child`: compiles what one line of JSON on its input describes.

It gives way to whatever else runs as far as it is told, and ends, with the compilers that it started, when its input
does: whoever started it is gone then. One that is only not wanted any more is killed (`jobs.Compiler.close`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import psutil

MADE = "made.pt2"
"""The package's name in the job's folder `work`."""


def _end_with_the_input(work: str) -> None:
    """Remove the folder that nobody else will remove, and end the whole process group, this process included."""
    sys.stdin.read()
    for process in psutil.Process().children(recursive=True):
        process.kill()
    shutil.rmtree(work, ignore_errors=True)
    if os.name == "posix":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Read the job, and do it in its folder."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_input, args=(job["work"],), daemon=True).start()
    if job["nice"]:
        psutil.Process().nice(job["nice"] if os.name == "posix" else psutil.IDLE_PRIORITY_CLASS)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = job["work"]
    from visioncraft_local_sd.compiling.export import compile_network  # seconds, in which it can be ended

    compile_network(job, Path(job["work"]) / MADE)


if __name__ == "__main__":
    main()

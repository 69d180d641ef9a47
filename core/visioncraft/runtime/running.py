"""Where the server of a data folder listens: it writes its address there while it serves, so that commands find it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from visioncraft.files import read_json_object

log = logging.getLogger(__name__)

_FILE = "server.json"
_SAME_START_S = 0.01  # psutil's clock ticks are as long


@contextmanager
def announced(data: Path, url: str) -> Iterator[None]:
    """Leave the server's address in its data folder until the block ends.

    Args:
        data: The data folder. Where it takes no file, commands do not find the server, which serves all the same.
        url: Where it listens, as a program on this machine reaches it.
    """
    import psutil  # imported when it is needed: `visioncraft --help` imports this module

    file, own = data / _FILE, psutil.Process()
    told = {"url": url, "pid": own.pid, "started": own.create_time()}
    try:
        file.write_text(json.dumps(told), "utf-8")
    except OSError as error:
        log.info("%s cannot be written: %s; `visioncraft generate` beside this server draws by itself", file, error)
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def server_of(data: Path) -> str | None:
    """The address of the server that has this data folder now; None where none runs.

    A file that a killed server left is passed over: its process is gone, or another one has its number.
    """
    import psutil

    try:
        told = read_json_object(data / _FILE, most=4096)
        url, pid, started = str(told["url"]), int(told["pid"]), float(told["started"])
        runs = abs(psutil.Process(pid).create_time() - started) < _SAME_START_S
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return url if runs and pid != os.getpid() else None

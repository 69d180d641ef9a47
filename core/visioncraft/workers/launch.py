"""Processes of our own: what a worker inherits and is told first, and how one ended."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visioncraft.engines.openmp import with_patient_threads
from visioncraft.settings import Settings
from visioncraft.workers.messages import PROTOCOL, Setup

_OWN = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"})  # of the server's interpreter, wrong for another


@dataclass(frozen=True, slots=True)
class Launch:
    """What a process is started with.

    Args:
        command: The program and its arguments.
        options: Further arguments of `subprocess.Popen` and its kin.
    """

    command: list[str]
    options: dict[str, Any]


def launch(python: Path | None, theirs: socket.socket, environment: Mapping[str, str]) -> Launch:
    """How to start a worker that speaks over `theirs`, which stays open in it and in nothing else it starts.

    Args:
        python: The interpreter; None for the server's own.
        theirs: The worker's end of a socket pair.
        environment: What it may see of the server's environment.

    A socket pair has no address, so nobody else can speak to a worker. The worker leaves the server's process group:
    Ctrl-C in a terminal is the server's to handle.
    """
    descriptor = theirs.fileno()
    # -u: what a generator prints shows at once. -P: whatever lies in the current folder is no module of ours.
    command = [
        str(python or sys.executable),
        "-u",
        "-P",
        "-m",
        "visioncraft.workers.child",
        str(descriptor),
        str(os.getpid()),
    ]
    unwanted = _OWN if python else frozenset[str]()
    wanted = {name: value for name, value in environment.items() if name not in unwanted}
    options = {"pass_fds": (descriptor,), "start_new_session": True, "env": with_patient_threads(wanted)}
    return Launch(command, options)


def setup(plugin: str, settings: Settings) -> Setup:
    """The first message to a worker of `plugin`."""
    plain = settings.model_dump(mode="json")
    plain["logs"]["file"] = str(settings.log_path or "")
    return Setup(
        protocol=PROTOCOL,
        plugin=plugin,
        settings=plain,
        settings_file=str(settings.file) if settings.file else None,
        verbose=logging.getLogger("visioncraft").isEnabledFor(logging.DEBUG),
    )


def obituary(code: int) -> str:
    """How a process ended, from its `returncode`."""
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

"""An environment whose command `visioncraft` is forked, for scripts of a shell that tests run.

To import what it needs takes the command longer than to do its work, and a script starts many. The one that stands in
for it hands over its streams, arguments, environment and folder, has a process of the tests' fork server do the work
(`visioncraft.testing.commands`), and ends as that does. `serve` is the real command: signals are sent to it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from visioncraft.testing import commands
from visioncraft.testing.server import CLI

_STAND_IN = f"""#!{sys.executable} -IS
import json, os, socket, sys
if sys.argv[1:2] == ["serve"]:
    os.execv({CLI!r}, [{CLI!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as door:
    door.connect("@DOOR@")
    asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(door, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    door.sendall(asked)
    sys.exit(door.recv(1)[0])
"""


@contextmanager
def environment_with_forked_command(folder: Path) -> Iterator[None]:
    """Make the folder a virtual environment that is this one but for that command, until the block ends."""
    _link_environment(folder)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "door"))
        door.listen()
        command = folder / "bin" / Path(CLI).name
        command.write_text(_STAND_IN.replace("@DOOR@", str(folder / "door")), "utf-8")
        command.chmod(0o755)
        Thread(target=_answer_all, args=(door,), daemon=True).start()
        yield
        door.shutdown(socket.SHUT_RDWR)


def _link_environment(folder: Path) -> None:
    """Everything of this environment under another path, less the command itself."""
    here, scripts = Path(sys.prefix), folder / "bin"
    scripts.mkdir(parents=True)
    for path in here.iterdir():
        if path.name != "bin":
            (folder / path.name).symlink_to(path)
    for path in (here / "bin").iterdir():
        if path.name not in ("activate", Path(CLI).name):
            (scripts / path.name).symlink_to(path)
    activate = (here / "bin" / "activate").read_text("utf-8")
    (scripts / "activate").write_text(activate.replace(str(here), str(folder)), "utf-8")


def _answer_all(door: socket.socket) -> None:
    while True:
        try:
            asking, _ = door.accept()
        except OSError:  # it is shut
            return
        Thread(target=_answer, args=(asking,), daemon=True).start()


def _answer(asking: socket.socket) -> None:
    """Do what one command is to do; its exit code is the answer."""
    with asking:
        head, streams, _, _ = socket.recv_fds(asking, 4, 3)
        with asking.makefile("rb") as content:
            words, env, cwd = json.loads(content.read(int.from_bytes(head, "big")))
        stdin, stdout, stderr = streams
        process = commands.start([CLI, *words], env, Path(cwd), stdin=stdin, stdout=stdout, stderr=stderr)
        for stream in streams:
            os.close(stream)
        status = process.wait()
        asking.sendall(bytes([status if status >= 0 else 128 - status]))

"""A small disk of its own for a house's data, which may fill up or be mounted for reading alone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import House
from visioncraft.testing import PATIENCE_S

_MOUNT = 'mount -t tmpfs -o "size=$2" tmpfs "$1" && echo mounted && exec cat'
_EACH = """
import json, os, sys
from pathlib import Path
import visioncraft.runtime.one_shot, visioncraft_gallery_fs.index.index
from visioncraft.cli import main

told = []
for words in json.load(sys.stdin):
    files = [Path(sys.argv[1], name) for name in ("said", "complained")]
    if not (child := os.fork()):
        for number, file in enumerate(files, 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["visioncraft", *words]
        sys.exit(main())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told.append([words, status, *(file.read_text("utf-8") for file in files)])
print(json.dumps(told))
"""
"""What the commands share is imported once, which takes longer than they do."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk in memory, mounted where only those processes see it that are started with `prefix`.

    Args:
        folder: Where it is mounted.
        prefix: The command that starts a command which sees it.
        inside: The same folder as everybody else finds it.
    """

    folder: Path
    prefix: Sequence[str]
    inside: Path

    def fill(self) -> None:
        """Leave no byte."""
        self._shell('cat /dev/zero >"$1/filler" 2>&-; truncate -s "+1" "$1/filler"; ! echo x >"$1/one-more" 2>&-')
        assert os.statvfs(self.inside).f_bavail == 0

    def empty(self) -> None:
        """Take away what `fill` put there."""
        self._shell('rm -f "$1/filler" "$1/one-more"')

    def remount(self, how: str) -> None:
        """Mount it again: `ro` or `rw`."""
        self._shell(f'mount -o remount,{how} "$1"')

    def freeze(self, folder: Path) -> None:
        """Have a folder on it for reading alone, though files in it are open for writing."""
        bind = f"mount --bind {shlex.quote(str(folder))} {shlex.quote(str(folder))}"
        self._shell(f"{bind} && mount -o remount,bind,ro {shlex.quote(str(folder))}")

    def thaw(self, folder: Path) -> None:
        """Take back what `freeze` did."""
        self._shell(f"umount -l {shlex.quote(str(folder))}")

    def rename(self, old: Path, new: Path) -> None:
        """Give a folder on it another name."""
        (self.inside / old.relative_to(self.folder)).rename(self.inside / new.relative_to(self.folder))

    def run(self, house: House, *commands: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
        """`visioncraft <arguments>` for each command, where the disk is seen, all forked from one process."""
        done = subprocess.run(
            [*self.prefix, sys.executable, "-c", _EACH, house.folder],
            env=house.environment(),
            cwd=house.folder,
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return [subprocess.CompletedProcess(*told) for told in json.loads(done.stdout)]

    def _shell(self, script: str) -> None:
        subprocess.run([*self.prefix, "sh", "-c", script, "sh", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """A disk of this size until the block ends; skips the test where nobody may mount one of his own."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["unshare", "-rm", "sh", "-c", _MOUNT, "sh", str(folder), size]
    with subprocess.Popen(mount, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        try:
            if holder.stdout.readline() != "mounted\n":
                pytest.skip("this machine lets nobody mount a small disk of his own")
            prefix = ("nsenter", "-t", str(holder.pid), "-U", "-m", "--preserve-credentials", "--")
            yield Disk(folder, prefix, Path(f"/proc/{holder.pid}/root{folder}"))
        finally:
            holder.stdin.close()

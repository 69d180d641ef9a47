"""A small disk of its own for a house's data, which may fill up or be mounted for reading alone."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from visioncraft.testing.commands import seeing_the_disks_of

_MOUNT = 'mount -t tmpfs -o "size=$2" tmpfs "$1" && echo mounted && exec cat'


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk in memory, mounted where only those processes see it that enter the namespaces of its `holder`.

    Args:
        folder: Where it is mounted.
        holder: The process that keeps it mounted.
        inside: The same folder as everybody else finds it.
    """

    folder: Path
    holder: int
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

    def _shell(self, script: str) -> None:
        subprocess.run([*seeing_the_disks_of(self.holder), "sh", "-c", script, "sh", str(self.folder)], check=True)


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
            yield Disk(folder, holder.pid, Path(f"/proc/{holder.pid}/root{folder}"))
        finally:
            holder.stdin.close()

"""Files and folders that people put somewhere: looked at without ever waiting, and each for itself.

A name may lead to a FIFO, a device, a socket or in a circle. Only regular files are opened, bounded reads end, and what
is wrong with one entry costs that entry alone.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_BYSTANDERS = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp", "~")
_DEEPEST = 8
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class FoundFile:
    """What lies below a folder.

    Args:
        path: The file or folder.
        name: Its path below the folder, with `/` and as text that can be shown: it is UTF-8.
        trouble: Why it cannot be looked at; empty where it can.
    """

    path: Path
    name: str
    trouble: str = ""


def is_bystander(name: str) -> bool:
    """Whether a file only lies beside others: hidden, a file manager's own, or one that is still being written.

    `._name` is what macOS writes beside `name` on other systems' disks.
    """
    small = name.lower()
    return small.startswith(".") or small in _BYSTANDERS or small.endswith(_UNFINISHED)


def check_regular(path: Path) -> os.stat_result:
    """What the system knows of a regular file, links followed. Raises `OSError` for anything else."""
    return _checked(path.stat(), path)


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file, of which there are at most so many. Raises `OSError` for any other."""
    check_regular(path)  # before it is opened: that alone does things to some devices
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        _checked(os.fstat(handle), path)
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MB", str(path))
    return content


def write_private(path: Path, content: bytes) -> None:
    """Put a file in place that its owner alone may read (mode 0600): whole, or not at all. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = mkstemp(dir=path.parent, prefix=f".{path.stem}-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_json_object(path: Path, most: int = 2**20) -> dict[str, Any]:
    """The JSON object in a file that people may have edited or damaged, of at most so many bytes.

    Raises `OSError` where there is no such file or it cannot be read, `ValueError` for whatever else is in it: other
    bytes than UTF-8, brackets deeper than anybody nests, numbers of thousands of digits, a value that is no object.
    """
    try:
        content = json.loads(read_bounded(path, most).decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content


def find_below(
    root: Path, wanted: Callable[[Path, bool], bool], passed_over: frozenset[str] = frozenset()
) -> Iterator[FoundFile]:
    """Files and folders below a folder, by name; those in a folder that is wanted itself are not looked for.

    Args:
        root: Need not exist.
        wanted: Asked of each path, and whether it is a folder.
        passed_over: Names of folders in `root`, in lower case, that are not looked into.
    """
    seen: set[tuple[int, int]] = set()
    pending, looked_at = [root], 0
    while pending:
        folder = pending.pop()
        depth = len(folder.parts) - len(root.parts)
        try:
            entries = [] if _again(folder, seen) else sorted(folder.iterdir())
        except OSError as error:
            if folder != root:  # which appears with the first file
                yield _found(root, folder, f"cannot be read: {error.strerror}")
            continue
        looked_at += len(entries)
        if depth > _DEEPEST or looked_at > _MOST:
            yield _found(root, folder, f"is not looked into: {_DEEPEST} folders deep and {_MOST} entries are the most")
            continue
        below = []
        for path in entries:
            if is_bystander(path.name) or (depth == 0 and path.name.lower() in passed_over):
                continue
            found, folder_like = _looked_at(root, path, wanted)
            if found is not None:
                yield found
            elif folder_like:
                below.append(path)
        pending += reversed(below)


def state_of(path: Path, depth: int = 2) -> Hashable:
    """Another one whenever a file was replaced or written, or one in a folder came or went; None where nothing is.

    Args:
        path: A file, or a folder whose files are looked at so many folders deep; bystanders are none of them.
    """
    try:
        facts = path.stat()
        if not stat.S_ISDIR(facts.st_mode):
            return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
        if not depth:
            return ()
        entries = sorted(entry.name for entry in os.scandir(path) if not is_bystander(entry.name))
    except OSError:
        return None
    states = ((name, state_of(path / name, depth - 1)) for name in entries)
    return tuple(each for each in states if each[1] is not None)


def _looked_at(root: Path, path: Path, wanted: Callable[[Path, bool], bool]) -> tuple[FoundFile | None, bool]:
    """What is found at a path, and whether it is a folder."""
    try:
        folder_like = stat.S_ISDIR(path.stat().st_mode)
    except OSError:  # a link that leads nowhere or in a circle: whoever opens it is told so
        folder_like = False
    try:
        return (_found(root, path) if wanted(path, folder_like) else None), folder_like
    except OSError as error:
        return _found(root, path, f"cannot be read: {error.strerror}"), folder_like


def _found(root: Path, path: Path, trouble: str = "") -> FoundFile:
    name = path.relative_to(root).as_posix()
    shown = name.encode("utf-8", "backslashreplace").decode()
    return FoundFile(path, shown, trouble if shown == name else "its name is no UTF-8; rename it")


def _again(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether a folder was looked into before: links may lead in a circle."""
    facts = folder.stat()
    place = facts.st_dev, facts.st_ino
    known = place in seen
    seen.add(place)
    return known


def _checked(facts: os.stat_result, path: Path) -> os.stat_result:
    if not stat.S_ISREG(facts.st_mode):
        kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, no file", str(path))
    return facts

"""The index that stands in the gallery's folder now, whoever put it there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TypeVar

from visioncraft import StorageError

from visioncraft_gallery_fs.files import durable
from visioncraft_gallery_fs.files.disk import check_there, check_writable, is_writable
from visioncraft_gallery_fs.index.index import PictureIndex
from visioncraft_gallery_fs.index.opening import open_copy, open_immutable, open_index, size_of
from visioncraft_gallery_fs.index.rebuild import add_missing, rebuild

log = logging.getLogger("visioncraft.gallery_fs")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open index.

    Args:
        state: What stood at the index's path then: which file, and of a borrowed one also its size and time.
        writable: Changes belong in it.
        borrowed: What others change does not show: it is looked at as it was, or is a copy elsewhere.
        elsewhere: The folder of the copy.
    """

    index: PictureIndex
    state: tuple[int, ...] | None
    writable: bool
    read_only: bool = False
    elsewhere: TemporaryDirectory[str] | None = None

    def close(self) -> None:
        self.index.close()
        if self.elsewhere is not None:
            self.elsewhere.cleanup()


class LiveIndex:
    """Keeps an index open, and opens another where somebody deleted or replaced it, or where it can be written again.

    Whoever deletes an index that a process has open leaves that process with a file without a name: what it writes down
    there nobody else would see, and nobody after its end.

    Args:
        root: The gallery's folder.
    """

    def __init__(self, root: Path) -> None:
        self.file = root / durable.INDEX
        self._root = root
        self._renewing = Lock()
        self._opened: _Opened | None = None

    def open(self, thorough: bool = False) -> None:
        """Open or make the index, as `open_index`. Raises `StorageError` where it cannot be written."""
        self._opened = self._own(thorough)

    def open_or_borrow(self) -> None:
        """Open it, filled from the files where it is incomplete; where nothing can be written, for reading alone."""
        self._opened = self._own_or_borrowed(self._fill)

    def close(self) -> None:
        """Close it."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    @property
    def read_only(self) -> bool:
        """Whether what is read is not the index itself, but what can be had of it."""
        return self._given().read_only

    def reading(self) -> PictureIndex:
        """The index to read. One that was deleted is read until a change makes the next one."""
        opened = self._given()
        stands = self._state(opened.read_only)
        if stands is not None and stands != opened.state and self._renewing.acquire(blocking=False):
            try:
                opened = self._renewed(self._own_or_borrowed)
            except StorageError as error:
                log.warning("%s: somebody replaced it, and the new one is not read: %s", self.file, error.message)
            finally:
                self._renewing.release()
        return opened.index

    def writing(self) -> PictureIndex:
        """The index to change. Raises `StorageError` where nothing can be written."""
        opened = self._given()
        if not self._stands(opened):
            check_there(self._root, opened.state[0] if opened.state and self._state() is None else None)
            check_writable(self._root)
            with self._renewing:
                opened = self._given()  # another thread may have been here before
                if not self._stands(opened):
                    opened = self._renewed(self._own_and)
        return opened.index

    def change(self, work: Callable[[PictureIndex], T]) -> T:
        """Change the index. When this returns, the change is in the one that stands there, not in a deleted one.

        Args:
            work: Called once more where somebody replaced the index meanwhile.
        """
        while True:
            index = self.writing()
            done = work(index)
            if self._stands(opened := self._given()) and opened.index is index:
                return done

    def _given(self) -> _Opened:
        if self._opened is None:
            raise StorageError(f"{self.file}: the index is closed")
        return self._opened

    def _stands(self, opened: _Opened) -> bool:
        """Whether changes belong there. With the whole gallery away, as a lost mount, there is no better place."""
        stands = self._state()
        return opened.writable and (stands == opened.state or (stands is None and not self._root.is_dir()))

    def _state(self, in_full: bool = False) -> tuple[int, ...] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        which = found.st_dev, found.st_ino
        if not in_full:
            return which
        return *which, found.st_size, found.st_mtime_ns, size_of(self.file.with_name(f"{self.file.name}-wal"))

    def _own(self, thorough: bool = False) -> _Opened:
        with self._told():
            return _Opened(open_index(self.file, thorough), self._state(), is_writable(self._root))

    def _own_and(self, fill: Callable[[PictureIndex], None]) -> _Opened:
        opened = self._own()
        try:
            with self._told():
                fill(opened.index)
        except BaseException:
            opened.close()
            raise
        return opened

    def _own_or_borrowed(self, fill: Callable[[PictureIndex], None]) -> _Opened:
        try:
            return self._own_and(fill)
        except StorageError as error:
            log.warning("%s. Until then the gallery is for reading alone", error.message)
            return self._borrowed()

    def _borrowed(self) -> _Opened:
        state = self._state(in_full=True)
        try:
            return _Opened(open_immutable(self.file), state, writable=False, read_only=True)
        except StorageError as error:
            log.warning("%s: read from a copy of it, which takes a while: %s", self.file, error.message)
        with self._told():
            index, folder = open_copy(self._root, self.file)
            return _Opened(index, state, writable=False, read_only=True, elsewhere=folder)

    def _renewed(self, opened_by: Callable[[Callable[[PictureIndex], None]], _Opened]) -> _Opened:
        before = self._given()
        opened = self._opened = opened_by(self._catch_up)
        before.close()
        return opened

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{error.filename or self.file}: {durable.reason(error)}") from error

    def _fill(self, index: PictureIndex) -> None:
        if not index.complete:
            rebuild(self._root, index).log(self._root)

    def _catch_up(self, index: PictureIndex) -> None:
        """What was saved while the index before this one was open may be in that one alone."""
        self._fill(index)
        add_missing(self._root, index)

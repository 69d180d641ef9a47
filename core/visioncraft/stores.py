"""The gallery of a server without a storage plugin: the newest pictures, in memory, gone when it ends."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import ClassVar

from visioncraft.contracts import ImageStore
from visioncraft.errors import NotFound, StorageError
from visioncraft.types import ImageRecord, Page, canonical_id


class MemoryStore(ImageStore):
    """Keeps the newest pictures in memory, safe to use from several threads.

    Parameters
    ----------
    capacity: How many pictures to keep; saving one more drops the one saved first.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, capacity: int = 100) -> None:
        if capacity < 1:
            raise ValueError(f"MemoryStore keeps at least 1 picture, not {capacity}")
        self.capacity = capacity
        self._lock = Lock()
        self._pictures: OrderedDict[str, tuple[ImageRecord, bytes]] = OrderedDict()

    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        """Keep a picture until `capacity` newer ones have come. Raises `StorageError` for an id that is taken."""
        with self._lock:
            if record.id in self._pictures:
                raise StorageError(f"Picture {record.id} is already stored; a new picture needs a new id")
            self._pictures[record.id] = (record, png)
            if len(self._pictures) > self.capacity:
                self._pictures.popitem(last=False)
        return record

    def get(self, image_id: str) -> ImageRecord:
        """One record. Raises `NotFound`."""
        return self._find(image_id)[0]

    def open(self, image_id: str) -> bytes:
        """The PNG's bytes, as they were saved. Raises `NotFound`."""
        return self._find(image_id)[1]

    def list(self, limit: int, offset: int = 0, model: str | None = None) -> Page:
        """A page, newest first. The cursor is the next offset, as text."""
        with self._lock:
            records = [record for record, _ in self._pictures.values()]
        if model is not None:
            records = [record for record in records if canonical_id(record.model) == canonical_id(model)]
        records.sort(key=lambda record: (record.created_at, record.id), reverse=True)
        start = max(offset, 0)
        end = start + max(limit, 0)
        return Page(records[start:end], len(records), str(end) if end < len(records) else None)

    def delete(self, image_id: str) -> None:
        """Forget a picture. Raises `NotFound`."""
        with self._lock:
            if self._pictures.pop(image_id, None) is None:
                raise _not_found(image_id)

    def count(self) -> int:
        """How many pictures there are."""
        with self._lock:
            return len(self._pictures)

    def _find(self, image_id: str) -> tuple[ImageRecord, bytes]:
        with self._lock:
            try:
                return self._pictures[image_id]
            except KeyError:
                raise _not_found(image_id) from None


def _not_found(image_id: str) -> NotFound:
    return NotFound(f"No picture {image_id!r}; GET /gallery lists those there are")

"""The gallery of a server without a storage plugin: the newest pictures, in memory, gone when it ends."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from threading import Lock
from typing import ClassVar

from visioncraft.errors import InvalidRequest, NotFound, StorageError
from visioncraft.gallery.search import matches
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.gallery import ALL_IMAGES, GalleryQuery, ImageRecord, Marks, Page

Place = tuple[int, int, str]
_CURSOR = re.compile(
    r"(?P<sort>newest|oldest|rating)\.(?P<rating>[0-5])\.(?P<moment>-?[0-9]{1,18})\.(?P<id>img_[0-9a-z]{26})"
)


class MemoryStore(ImageStore):
    """Keeps the newest pictures in memory, safe to use from several threads.

    Args:
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

    def list(self, limit: int, offset: int = 0, query: GalleryQuery = ALL_IMAGES, cursor: str | None = None) -> Page:
        """A page. The cursor is the order and the id of the last picture before it. Raises `InvalidRequest`."""
        with self._lock:
            records = [record for record, _ in self._pictures.values()]
        return paginate(records, limit, offset, query, cursor)

    def delete(self, image_id: str) -> None:
        """Forget a picture. Raises `NotFound`."""
        with self._lock:
            if self._pictures.pop(image_id, None) is None:
                raise _not_found(image_id)

    def mark(self, image_id: str, marks: Marks) -> ImageRecord:
        """Keep what people say of a picture until it goes. Raises `NotFound`."""
        with self._lock:
            if image_id not in self._pictures:
                raise _not_found(image_id)
            record, png = self._pictures[image_id]
            marked = replace(record, marks=marks)
            self._pictures[image_id] = (marked, png)
        return marked

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


def paginate(
    records: Iterable[ImageRecord],
    limit: int,
    offset: int = 0,
    query: GalleryQuery = ALL_IMAGES,
    cursor: str | None = None,
) -> Page:
    """`ImageStore.list` for a store that can go through all of its records, in any order, at every question.

    Args:
        records: All there are.
        limit, offset, query, cursor: As `ImageStore.list` takes them.

    Raises `InvalidRequest` for a cursor that is none of this query's.
    """
    found = [each for each in records if matches(each, query)]
    found.sort(key=lambda each: _place(each, query), reverse=query.sort != "oldest")
    start = _after([_place(each, query) for each in found], query, cursor) + max(offset, 0)
    items = found[start : start + max(limit, 0)]
    more = bool(items) and start + len(items) < len(found)
    return Page(items, len(found), _cursor(items[-1], query) if more else None)


def _place(record: ImageRecord, query: GalleryQuery) -> Place:
    """Where a record stands in the query's order, from its end that is shown last."""
    rating = record.marks.rating if query.sort == "rating" else 0
    return rating, int(record.created_at.timestamp() * 1e6), record.id


def _cursor(record: ImageRecord, query: GalleryQuery) -> str:
    return ".".join(map(str, (query.sort, *_place(record, query))))


def _after(places: list[Place], query: GalleryQuery, cursor: str | None) -> int:
    """Where the page after the cursor begins, whether or not the picture that it names is still there."""
    if cursor is None:
        return 0
    match = _CURSOR.fullmatch(cursor)
    if match is None or match["sort"] != query.sort:
        raise InvalidRequest.of("cursor", "a next_cursor that a page of the same sort answered")
    last = int(match["rating"]), int(match["moment"]), match["id"]
    backwards = query.sort != "oldest"
    passed = [place >= last if backwards else place <= last for place in places]
    return sum(passed)


def _not_found(image_id: str) -> NotFound:
    return NotFound(f"No picture {image_id!r}; GET /gallery lists those there are")


page_of = paginate  # its name in plugin API 1.0

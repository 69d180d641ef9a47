"""A zip made while it is sent, so that neither memory nor disk ever holds it."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from io import RawIOBase

from visioncraft.errors import NotFound, StorageError
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.gallery import GalleryQuery, ImageRecord, Marks

log = logging.getLogger(__name__)
_PAGE = 100
_PART = 2**18  # bytes


def zip_stream(
    store: ImageStore,
    query: GalleryQuery,
    left_out: Callable[[str], object] = log.warning,
    in_parts: bool = False,
) -> Iterator[bytes]:
    """The bytes of a zip with every picture the query finds, in folders by date as the gallery has them.

    One piece for each picture, and one for the end. Pictures are stored, not deflated: a PNG is compressed already.

    Args:
        left_out: Told in a sentence of each picture that cannot be read and is not in the zip; its piece is empty.
        in_parts: Give a picture in several pieces, so that never a whole one is in memory (since plugin API 1.1).
    """
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as archive:
        for record in _records(store, query):
            for _ in _added(archive, store, record, left_out):
                if in_parts:
                    yield pieces.take()
            yield pieces.take()
    yield pieces.take()


def _records(store: ImageStore, query: GalleryQuery) -> Iterator[ImageRecord]:
    page = store.list(_PAGE, 0, query)
    while True:
        yield from page.items
        if page.next_cursor is None:
            return
        page = store.list(_PAGE, 0, query, page.next_cursor)


def _added(
    archive: zipfile.ZipFile, store: ImageStore, record: ImageRecord, left_out: Callable[[str], object]
) -> Iterator[None]:
    """Write a picture and what was said of it; stops after each part."""
    name = f"{record.created_at:%Y/%m/%d}/{record.filename}"
    try:
        picture = store.reader(record.id)
    except (NotFound, StorageError) as error:
        left_out(f"{record.id} is not exported: {error.message}")
        return
    with picture, archive.open(_dated(name, record), "w") as entry:
        while part := picture.read(_PART):
            entry.write(part)
            yield
    if record.marks != Marks():
        sidecar = name.removesuffix(".png") + ".json"
        archive.writestr(_dated(sidecar, record), json.dumps({"format": 1, **asdict(record.marks)}))


def _dated(name: str, record: ImageRecord) -> zipfile.ZipInfo:
    moment = record.created_at.timetuple()[:6]
    # Zip knows the years 1980 to 2107 (APPNOTE 4.4.6).
    return zipfile.ZipInfo(name, moment if 1980 <= moment[0] <= 2107 else (1980, 1, 1, 0, 0, 0))


class _Pieces(RawIOBase):
    """A file that cannot be seeked in: what is written waits until it is taken."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._waiting += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last call."""
        piece, self._waiting = bytes(self._waiting), bytearray()
        return piece


zipped = zip_stream  # its name in plugin API 1.0

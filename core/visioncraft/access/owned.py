"""The gallery as somebody with a key sees it: their own images, and what their scopes allow with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from visioncraft.access.scopes import missing
from visioncraft.errors import NotFound
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.gallery import ALL_IMAGES, GalleryQuery, ImageRecord, Marks, Page
from visioncraft.types.identity import Identity


class OwnedStore(ImageStore):
    """A store behind one identity. Another's image is not there: neither its bytes nor that it exists.

    Args:
        store: The gallery itself.
        identity: Who looks.
    """

    def __init__(self, store: ImageStore, identity: Identity) -> None:
        self._store, self._identity = store, identity
        self.__dict__["name"] = store.name  # which stores say as a class

    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        self._check("gallery:write")
        return self._store.save(record, png)

    def get(self, image_id: str) -> ImageRecord:
        self._check("gallery:read")
        record = self._store.get(image_id)
        if not self._identity.sees_all and record.owner != self._identity.whose:
            raise NotFound(f"No picture {image_id}")
        return record

    def open(self, image_id: str) -> bytes:
        return self._seen(image_id).open(image_id)

    def url(self, image_id: str) -> str | None:
        return self._seen(image_id).url(image_id)

    def reader(self, image_id: str) -> BinaryIO:
        return self._seen(image_id).reader(image_id)

    def thumbnail(self, image_id: str) -> bytes:
        return self._seen(image_id).thumbnail(image_id)

    def version(self, image_id: str) -> str:
        return self._seen(image_id).version(image_id)

    def list(self, limit: int, offset: int = 0, query: GalleryQuery = ALL_IMAGES, cursor: str | None = None) -> Page:
        self._check("gallery:read")
        if self._identity.sees_all:
            return self._store.list(limit, offset, query, cursor)
        page = self._store.list(limit, offset, replace(query, owner=self._identity.whose), cursor)
        # a store that knows no owners, as one of plugin API 1.0, finds those of others too
        return replace(page, items=[each for each in page.items if each.owner == self._identity.whose])

    def delete(self, image_id: str) -> None:
        self._changed(image_id).delete(image_id)

    def delete_many(self, image_ids: Sequence[str]) -> Sequence[str]:
        self._check("gallery:write")
        return self._store.delete_many([image_id for image_id in image_ids if self._is_there(image_id)])

    def mark(self, image_id: str, marks: Marks) -> ImageRecord:
        return self._changed(image_id).mark(image_id, marks)

    def check_room(self) -> None:
        self._store.check_room()

    def count(self) -> int:
        return self.list(1).total

    def _seen(self, image_id: str) -> ImageStore:
        self.get(image_id)
        return self._store

    def _changed(self, image_id: str) -> ImageStore:
        self._check("gallery:write")
        return self._seen(image_id)

    def _is_there(self, image_id: str) -> bool:
        try:
            self.get(image_id)
        except NotFound:
            return False
        return True

    def _check(self, scope: str) -> None:
        if not self._identity.may(scope):
            raise missing(self._identity, scope)

"""Which pictures are too old or too many, where the settings bound the gallery."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from visioncraft import StorageError

from visioncraft_gallery_fs.index.index import PictureIndex
from visioncraft_gallery_fs.index.keys import first_key

log = logging.getLogger("visioncraft.gallery_fs")
_BATCH = 500
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """Bounds of the gallery; 0 for none. Pictures that somebody starred are never surplus.

    Args:
        days: Older pictures go.
        pictures: The oldest go where there are more.
        gigabytes: The oldest go where the files take more, in units of 2**30 bytes.
    """

    days: float = 0.0
    pictures: int = 0
    gigabytes: float = 0.0

    def enforce(self, index: PictureIndex, delete: Callable[[list[str]], Sequence[str]]) -> None:
        """Remove what is surplus. A failure is for the log: the save that led here has succeeded.

        Args:
            delete: Removes pictures and answers those it removed; raises `StorageError`.
        """
        try:
            while surplus := self.surplus(index):
                removed = delete(surplus)
                log.info("%s: %s old pictures removed, as keep_… in the settings say", index.file, len(removed))
                if not removed:
                    return
        except StorageError as error:
            log.warning("Old pictures are not removed: %s", error.message)

    def surplus(self, index: PictureIndex) -> list[str]:
        """Ids of pictures that are to go now, a batch at most."""
        found = [self._too_old(index), self._too_many(index), self._too_large(index)]
        return max(found, key=len)

    def _too_old(self, index: PictureIndex) -> list[str]:
        if not self.days:
            return []
        edge = first_key(time.time_ns() // 1000 - int(self.days * _DAY_US))
        return [entry.id for entry in index.oldest(edge, _BATCH)]

    def _too_many(self, index: PictureIndex) -> list[str]:
        over = index.count() - self.pictures if self.pictures else 0
        return [entry.id for entry in index.oldest(None, min(over, _BATCH))] if over > 0 else []

    def _too_large(self, index: PictureIndex) -> list[str]:
        over = index.size() - int(self.gigabytes * 2**30) if self.gigabytes else 0
        if over <= 0:
            return []
        oldest = index.oldest(None, _BATCH)
        freed_before = [0, *accumulate(entry.size for entry in oldest)]
        return [entry.id for entry, freed in zip(oldest, freed_before, strict=False) if freed < over]

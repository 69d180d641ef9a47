"""The models in memory: each is held while somebody draws with it, the least recently used one leaves first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from visioncraft.types.models import canonical_id


class Resident(Protocol):
    """What a shelf keeps."""

    @property
    def resident_gb(self) -> float:
        """Device memory it takes, in GB."""

    def close(self) -> None:
        """Give its memory back."""


T = TypeVar("T", bound=Resident)


@dataclass
class _Entry(Generic[T]):
    item: T
    shown: str
    version: Hashable
    holders: int = 0
    doomed: bool = False


class ModelCache(Generic[T]):
    """Loaded models by id, however it is spelled. Safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()  # the most recently used one last
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @contextmanager
    def hold(self, model_id: str, load: Callable[[], T], version: Hashable = None) -> Iterator[T]:
        """Hold a model while the block runs, so that it is not evicted; loaded first where it is absent.

        Loads happen one at a time, since two would compete for the same memory. A model that is loaded already does
        not wait for another's load.

        Args:
            version: Tells what is loaded from what was put in its place, as `state_of` its files does. One that is
                loaded in another version leaves first, or when its last holder is done.
        """
        entry = self._take(model_id, version)
        if entry is None:
            with self._loading:
                entry = self._take(model_id, version) or self._loaded(model_id, load, version)
        try:
            yield entry.item
        finally:
            self._release(entry)

    def evict_until(self, fits: Callable[[], bool]) -> None:
        """Close models that nobody holds, the least recently used one first, until `fits()` or none is left."""
        while not fits():
            with self._lock:
                key = next((key for key, entry in self._entries.items() if entry.holders == 0), None)
                entry = self._entries.pop(key) if key is not None else None
            if entry is None:
                return
            entry.item.close()

    def drop(self, model_id: str) -> None:
        """Close a model: now, or when its last holder is done."""
        with self._lock:
            entry = self._entries.pop(canonical_id(model_id), None)
            if entry is None:
                return
            entry.doomed = True
            held = entry.holders > 0
        if not held:
            entry.item.close()

    def clear(self) -> None:
        """Close every model as `drop` does."""
        for model_id in self.ids():
            self.drop(model_id)

    def ids(self) -> list[str]:
        """Ids of the models in memory, as they were last asked for, the most recently used one first."""
        with self._lock:
            return [entry.shown for entry in reversed(self._entries.values())]

    def resident_gb(self) -> float:
        """Device memory of all models together, in GB."""
        with self._lock:
            return sum(entry.item.resident_gb for entry in self._entries.values())

    def _take(self, model_id: str, version: Hashable) -> _Entry[T] | None:
        key = canonical_id(model_id)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.version != version:
                return None
            entry.holders += 1
            entry.shown = model_id
            self._entries.move_to_end(key)
            return entry

    def _loaded(self, model_id: str, load: Callable[[], T], version: Hashable) -> _Entry[T]:
        self.drop(model_id)  # of another version, whose memory the new one may need
        item = load()
        with self._lock:
            entry = self._entries[canonical_id(model_id)] = _Entry(item, model_id, version, holders=1)
            return entry

    def _release(self, entry: _Entry[T]) -> None:
        with self._lock:
            entry.holders -= 1
            leaves = entry.doomed and entry.holders == 0
        if leaves:
            entry.item.close()


Shelf = ModelCache  # its name in plugin API 1.0

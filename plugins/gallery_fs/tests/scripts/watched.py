"""Hands hostile ids and file names to a gallery and names every path it touches outside: `watched.py ROOT < lines`.

Reads a JSON list of texts. An audit hook (https://docs.python.org/3/library/audit_events.html) sees every file that is
opened, removed, renamed, listed or made, whoever asks for it.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from saving import record_and_png
from visioncraft import Marks, NotFound, StorageError
from visioncraft_gallery_fs.index import rebuild  # noqa: F401 - loaded before anything is watched
from visioncraft_gallery_fs.store import GalleryStore
from visioncraft_gallery_fs.upkeep import check, remove  # noqa: F401 - as above

FILE_EVENTS = {"open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "os.truncate"}
FILE_EVENTS |= {"os.link", "os.symlink", "os.chmod", "os.utime", "shutil.rmtree", "sqlite3.connect"}


def main() -> None:
    root, hostile = Path(sys.argv[1]), json.load(sys.stdin)
    store = GalleryStore(root)
    store.start()
    kept = store.save(*record_and_png())
    store.thumbnail(kept.id)  # whatever is imported for it is imported now
    outside = watch(root)
    outcomes = Counter(outcome for text in hostile for outcome in tried(store, text))
    store.reindex()
    told = {"found": outcomes["found"], "refused": outcomes["refused"], "outside": sorted(outside)}
    print(json.dumps(told | {"left": store.count(), "problems": store.check().problems}))


def watch(root: Path) -> set[str]:
    """Collects what touches a file outside `root` from now on."""
    inside, outside = str(root.resolve()), set[str]()

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in FILE_EVENTS:
            return
        for path in arguments[:2]:
            if isinstance(path, str | bytes | os.PathLike):
                text = os.fsdecode(path)
                if "/" in text and not os.path.realpath(text).startswith(inside):
                    outside.add(f"{event} {text}")

    sys.addaudithook(hear)
    return outside


def tried(store: GalleryStore, text: str) -> Iterator[str]:
    """Uses a text as an id and as a file name, wherever there is one: `found` or `refused` for each."""
    record, png = record_and_png()
    known = (store.get, store.open, store.thumbnail, store.delete, lambda each: store.mark(each, Marks(rating=1)))
    asks: list[tuple[Callable[[], object], type[Exception]]] = [(partial(ask, text), NotFound) for ask in known]
    asks.append((lambda: store.save(replace(record, id=text), png), StorageError))
    for ask, refusal in asks:
        try:
            ask()
            yield "found"
        except refusal:
            yield "refused"
    assert store.delete_many([text]) == []
    named = store.save(replace(record, filename=text), png)
    assert store.open(named.id) == png
    store.delete(named.id)


if __name__ == "__main__":
    main()

"""Hands hostile ids and file names to a gallery and names every path it touches outside: `watched.py ROOT < lines`.

Reads a JSON list of texts. An audit hook (https://docs.python.org/3/library/audit_events.html) sees every file that is
opened, removed, renamed, listed or made, whoever asks for it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from saving import record_and_png
from visioncraft import Marks, NotFound, StorageError
from visioncraft_gallery_fs import checking, reindex  # noqa: F401 - loaded before anything is watched
from visioncraft_gallery_fs.store import GalleryStore

FILE_EVENTS = {"open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "os.truncate"}
FILE_EVENTS |= {"os.link", "os.symlink", "os.chmod", "os.utime", "shutil.rmtree", "sqlite3.connect"}


def main() -> None:
    root, hostile = Path(sys.argv[1]), json.load(sys.stdin)
    store = GalleryStore(root)
    store.start()
    kept = store.save(*record_and_png())
    store.thumbnail(kept.id)  # whatever is imported for it is imported now
    outside: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in FILE_EVENTS:
            return
        for path in arguments[:2]:
            if isinstance(path, str | bytes | os.PathLike):
                text = os.fsdecode(path)
                if "/" in text and not os.path.realpath(text).startswith(str(root.resolve())):
                    outside.add(f"{event} {text}")

    sys.addaudithook(watch)
    found = refused = 0
    for text in hostile:
        for ask in (
            store.get,
            store.open,
            store.thumbnail,
            store.delete,
            lambda each: store.mark(each, Marks(rating=1)),
        ):
            try:
                ask(text)
                found += 1
            except NotFound:
                refused += 1
        assert store.delete_many([text]) == []
        record, png = record_and_png()
        named = store.save(replace(record, filename=text), png)
        assert store.open(named.id) == png
        store.delete(named.id)
        try:
            store.save(replace(record, id=text), png)
            found += 1
        except StorageError:
            refused += 1
    store.reindex()
    problems = store.check().problems
    print(
        json.dumps(
            {
                "found": found,
                "refused": refused,
                "outside": sorted(outside),
                "left": store.count(),
                "problems": problems,
            }
        )
    )


if __name__ == "__main__":
    main()

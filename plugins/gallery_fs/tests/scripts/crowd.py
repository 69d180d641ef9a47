"""Five writers and five readers in one process: `crowd.py ROOT SAVES SECONDS`.

Each writer saves so many pictures and deletes some of its own, and goes on until the seconds are over. Readers walk by
cursor all the while. Prints what each walk saw wrong, which is nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from saving import record_and_png
from visioncraft import GalleryQuery
from visioncraft.types.gallery import Sort
from visioncraft_gallery_fs.store import GalleryStore

WRITERS = READERS = 5


def write(store: GalleryStore, saves: int, until: float) -> Counter[str]:
    done: Counter[str] = Counter()
    while done["saved"] < saves or time.monotonic() < until:
        kept = store.save(*record_and_png())
        done["saved"] += 1
        if done["saved"] % 4 == 0:
            store.delete(kept.id)
            done["deleted"] += 1
    return done


def walk(store: GalleryStore, there: set[str], sort: Sort) -> list[str]:
    """Walk once; `there` was saved before and stays."""
    seen: Counter[str] = Counter()
    cursor = None
    while True:
        page = store.list(7, query=GalleryQuery(sort=sort), cursor=cursor)
        seen.update(record.id for record in page.items)
        cursor = page.next_cursor
        if cursor is None:
            doubles = [f"{each} twice" for each, times in seen.items() if times > 1]
            return doubles + [f"{each} is missing" for each in there - set(seen)]


def read(store: GalleryStore, there: set[str], ended: Event) -> tuple[int, list[str]]:
    wrong, walks = [], 0
    while not (ended.is_set() and walks):
        wrong += walk(store, there, "newest" if walks % 2 else "oldest")
        walks += 1
    return walks, wrong


def main() -> None:
    root, saves, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    store, ended = GalleryStore(root), Event()
    store.start()
    there = {record.id for record in store.list(1000).items if record.prompt == "stays"}
    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        readers = [pool.submit(read, store, there, ended) for _ in range(READERS)]
        until = time.monotonic() + seconds
        writers = [pool.submit(write, store, saves, until) for _ in range(WRITERS)]
        try:
            done = sum((writer.result() for writer in writers), Counter())
        finally:
            ended.set()
        outcomes = [reader.result() for reader in readers]
    wrong = [sentence for _, sentences in outcomes for sentence in sentences]
    print(json.dumps({"wrong": wrong, "walks": sum(walks for walks, _ in outcomes), **done}))


if __name__ == "__main__":
    main()

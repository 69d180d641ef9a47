"""Saves pictures from eight threads at once and is killed, again and again: `killed.py ROOT ROUNDS`.

Each round is a process of its own, forked after the imports so that rounds are short, and gets SIGKILL after some
acknowledged saves. Every id that `save` had answered before is printed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from threading import Thread

from saving import record_and_png
from visioncraft_gallery_fs.index import index, rebuild, rows  # noqa: F401 - before the fork
from visioncraft_gallery_fs.store import GalleryStore

THREADS = 8


def save_forever(store: GalleryStore, told: int) -> None:
    while True:
        record, png = record_and_png()
        os.write(told, f"{store.save(record, png).id}\n".encode())


def child(root: Path, told: int) -> None:
    store = GalleryStore(root)
    store.start()
    threads = [Thread(target=save_forever, args=(store, told)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed_after(root: Path, saves: int) -> bytes:
    """The ids that a child acknowledged, which is killed after at least so many."""
    heard, told = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(heard)
        child(root, told)
    os.close(told)
    ids = b""
    while ids.count(b"\n") < saves:
        piece = os.read(heard, 65536)
        assert piece, "the child ended by itself"
        ids += piece
    os.kill(process, signal.SIGKILL)
    while piece := os.read(heard, 65536):
        ids += piece
    os.waitpid(process, 0)
    os.close(heard)
    return ids


def main() -> None:
    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(2026)
    for _ in range(rounds):
        sys.stdout.buffer.write(killed_after(root, chance.randrange(1, 40)))
        sys.stdout.flush()


if __name__ == "__main__":
    main()

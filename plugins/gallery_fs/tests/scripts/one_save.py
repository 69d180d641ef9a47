"""Saves one picture while strace makes one system call fail, and tells what came of it: `one_save.py ROOT ID MOMENT`.

The id and the moment are given, so that the caller knows the path of the temporary file, which strace watches.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from saving import record_and_png
from visioncraft import StorageError, image_filename, with_record
from visioncraft_gallery_fs.store import GalleryStore


def main() -> None:
    root, image_id, moment = Path(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3])
    record, png = record_and_png(image_id)
    record = replace(record, created_at=moment, filename=image_filename(image_id, moment))
    png = with_record(png, record)
    store = GalleryStore(root)
    store.start()
    told: dict[str, object] = {"before": store.count()}
    os.access("/begin", os.F_OK)  # marks in the trace
    try:
        store.save(record, png)
        told["error"] = None
    except StorageError as error:
        told["error"] = error.message
    os.access("/end", os.F_OK)
    told["after"] = store.count()
    told["files"] = sorted(path.name for path in root.rglob("*") if path.is_file() and "index.sqlite3" not in path.name)
    if told["error"] is not None:
        store.save(record, png)
        told["again"] = store.open(record.id) == png
    told["damage"] = store.check().problems
    print(json.dumps(told))


if __name__ == "__main__":
    main()

"""Indexes of older layouts: what a newer version makes of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from visioncraft import GalleryQuery, ImageRecord, Marks
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def test_an_index_of_an_older_layout_is_filled_from_the_files(store: GalleryStore, root: Path, draw: Draw) -> None:
    """Layout 1 as it was released: other columns, no triggers; its rows are not needed."""
    for second in range(3):
        store.mark(store.save(*draw(second)).id, Marks(rating=second))
    before = store.list(9)
    store.close()
    (root / "index.sqlite3").unlink()
    connection = sqlite3.connect(root / "index.sqlite3")
    connection.executescript(
        "CREATE TABLE pictures (id VARCHAR PRIMARY KEY, path VARCHAR, created_at INTEGER, model_key VARCHAR);"
        "CREATE INDEX pictures_by_time ON pictures (created_at, id);"
        "CREATE INDEX pictures_by_model ON pictures (model_key, created_at, id);"
        "INSERT INTO pictures VALUES ('img_x', 'x', 1, 'm'); PRAGMA user_version = 1;"
    )
    connection.close()
    store.start()
    assert store.list(9) == before
    assert store.check().problems == []


def test_an_index_without_owners_is_brought_up_to_date_and_not_filled_anew(
    store: GalleryStore, root: Path, draw: Draw
) -> None:
    """Layout 4, as 1.0 wrote it: what has been counted stays, and nobody's are the images of before."""
    old = store.save(*draw(0))
    store.close()
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection:
        triggers = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall())
        for name in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DROP INDEX traits_by_owner")
        for table in ("pictures", "traits"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN owner")
        for sql in triggers.values():
            without = sql.replace("('owner', new.owner, 1), ", "").replace("('owner', old.owner, -1), ", "")
            without = without.replace(", new.owner", "").replace(", old.owner", "").replace(", owner", "")
            connection.execute(without)
        connection.execute("DELETE FROM counts WHERE facet = 'owner'")
        connection.execute("UPDATE pictures SET notes = 'only the index has this'")
        connection.execute("PRAGMA user_version = 4")
        connection.commit()
    store.start()
    hers = store.save(*draw(1, facts={"owner": "ada"}))
    assert [each.id for each in store.list(9, query=GalleryQuery(owner="ada")).items] == [hers.id]
    assert [each.id for each in store.list(9, query=GalleryQuery(owner="")).items] == [old.id]
    assert store.list(1, query=GalleryQuery(owner="ada")).total == 1
    assert store.get(old.id).marks.notes == "only the index has this"


def test_an_index_that_told_a_name_from_its_id_is_brought_up_to_date_and_not_filled_anew(
    store: GalleryStore, root: Path, draw: Draw
) -> None:
    """Layout 3, in which `dream_shaper` and `dream-shaper` were two models."""
    saved = [store.save(*draw(second, model=name)).id for second, name in enumerate(("dream_shaper", "dream-shaper"))]
    store.close()
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection, connection:
        connection.execute("UPDATE pictures SET model_key = 'dream_shaper' WHERE model = 'dream_shaper'")
        connection.execute("UPDATE pictures SET vram_used = 7 WHERE model = 'dream_shaper'")  # as no file says
        connection.execute("""UPDATE pictures SET tags = '["cafe\u0301", "dark"]' WHERE model = 'dream_shaper'""")
        connection.execute("PRAGMA user_version = 3")
    store.start()
    assert [record.id for record in store.list(9, query=GalleryQuery(tags=("caf\u00e9",))).items] == saved[:1]
    found = store.list(9, query=GalleryQuery(model="Dream Shaper", sort="oldest"))
    assert [record.id for record in found.items] == saved and found.total == 2
    assert found.items[0].vram_used == 7
    store.close()
    store.start()
    assert store.list(9, query=GalleryQuery(model="dream_shaper")).total == 2

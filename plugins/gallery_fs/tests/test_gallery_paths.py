"""No id, name, path or link from outside leads out of the gallery."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from visioncraft import ImageRecord, NotFound, StorageError
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]
TRAVERSALS = [
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "img_../../../../../../etc/pass",
    "img_01m83krb1qdy96shcvvve1prax\0",
    "generated_image_20261123_235950_e1prax.png",
    "index.sqlite3",
    "img_" + "A" * 26,
    "' OR 1=1 --",
    "",
    "x" * 100_000,
]


def picture_file(root: Path, record: ImageRecord) -> Path:
    (found,) = root.rglob(record.filename)
    return found


def run_sql(root: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(root / "index.sqlite3")
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_an_id_that_is_none_never_touches_the_disk(store: GalleryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object, **__: object) -> None:
        pytest.fail("the disk was touched")

    with monkeypatch.context() as patched:
        for name in ("open", "stat", "lstat", "unlink"):
            patched.setattr(os, name, touched)
        patched.setattr(io, "open", touched)
        for image_id in TRAVERSALS:
            for method in (store.get, store.open, store.thumbnail, store.delete):
                with pytest.raises(NotFound):
                    method(image_id)


@pytest.mark.parametrize("filename", ["../../evil.png", "/etc/evil.png", "a.png", "", "generated_image_x.png\0"])
def test_a_strange_file_name_is_replaced_by_one_of_ours(
    filename: str, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record, png = draw()
    kept = store.save(replace(record, filename=filename), png)
    assert kept == record
    assert picture_file(root, record).read_bytes() == png
    assert store.get(record.id) == record


def test_a_picture_with_a_strange_id_is_refused(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    for image_id in TRAVERSALS:
        with pytest.raises(StorageError, match="none of ours"):
            store.save(replace(record, id=image_id), png)
    assert not list(root.rglob("*.png"))


@pytest.mark.parametrize("path", ["../outside.png", "2026/11/23/../../../../outside.png", "/etc/passwd"])
def test_a_path_in_the_index_that_leads_outside_is_refused(
    path: str, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record, png = draw()
    store.save(record, png)
    run_sql(root, "UPDATE pictures SET path = ?", path)
    outside = root.parent / "outside.png"
    outside.write_bytes(b"secret")
    for method in (store.open, store.delete, store.thumbnail):
        with pytest.raises(StorageError, match="leads outside the gallery"):
            method(record.id)
    assert outside.read_bytes() == b"secret"


def test_a_symbolic_link_out_of_the_gallery_is_not_followed(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    outside = root.parent / "secret"
    outside.write_bytes(b"secret")
    file = picture_file(root, record)
    file.unlink()
    file.symlink_to(outside)
    with pytest.raises(StorageError, match="leads outside the gallery"):
        store.open(record.id)
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(StorageError, match="leads outside the gallery"):
        store.open(record.id)
    assert store.reindex().indexed == 0


def test_a_dated_folder_that_is_a_link_out_of_the_gallery_takes_no_picture(
    store: GalleryStore, root: Path, draw: Draw
) -> None:
    outside = root.parent / "elsewhere"
    outside.mkdir()
    (root / "2026").symlink_to(outside, target_is_directory=True)
    with pytest.raises(StorageError, match="a symbolic link leads outside"):
        store.save(*draw())
    assert not list(outside.rglob("*.png"))


def test_a_file_that_is_there_already_is_never_written_over(store: GalleryStore, root: Path, draw: Draw) -> None:
    first, png = draw()
    store.save(first, png)
    second = replace(draw()[0], filename=first.filename)
    with pytest.raises(StorageError, match="File exists"):
        store.save(second, b"other bytes")
    assert store.open(first.id) == png
    assert store.count() == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 2**63}, "seed 9223372036854775808 does not fit"), ({"prompt": "\ud83d"}, "prompt holds half")],
)
def test_a_record_that_sqlite_cannot_hold_is_refused_before_anything_is_written(
    change: dict[str, object], named: str, store: GalleryStore, root: Path, draw: Draw
) -> None:
    record, png = draw()
    with pytest.raises(StorageError, match=named):
        store.save(replace(record, **change), png)  # type: ignore[arg-type]
    assert not list(root.rglob("*.png"))

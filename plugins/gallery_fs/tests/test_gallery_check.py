"""Hashes, strangers, retention and room."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from visioncraft import ImageRecord, Marks, StorageError, encode_png, image_filename, with_record
from visioncraft.settings import Settings
from visioncraft_gallery_fs.cli.commands import gallery_group
from visioncraft_gallery_fs.settings import GallerySettings
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def picture_file(root: Path, record: ImageRecord) -> Path:
    (found,) = root.rglob(record.filename)
    return found


def run_check(root: Path, *options: str) -> int:
    group = gallery_group(lambda: GalleryStore(root), Settings())
    with pytest.raises(SystemExit) as ended:
        group.main(args=["check", *options], prog_name="visioncraft gallery")
    return int(ended.value.code or 0)


def test_a_sound_gallery_passes_the_check(
    store: GalleryStore, root: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    for second in range(3):
        store.mark(store.save(*draw(second)).id, Marks(rating=second))
    store.close()
    assert run_check(root) == 0
    assert capsys.readouterr().out == "3 pictures are whole; 0 problems\n"


def test_a_changed_bit_is_found_by_the_hash_and_after_a_rebuild_by_the_pngs_own(
    store: GalleryStore, root: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    record, png = draw()
    store.save(record, png)
    file = picture_file(root, record)
    flipped = bytearray(png)
    flipped[-30] ^= 1  # within the pixels
    file.write_bytes(flipped)
    assert store.check().problems == [
        f"{file}: not the bytes that were saved (SHA-256 differs); restore it from a copy, "
        "or run 'visioncraft gallery check --accept' if you changed it"
    ]
    store.close()
    (root / "index.sqlite3").unlink()
    assert run_check(root) == 1
    shown = capsys.readouterr()
    assert shown.out == "0 pictures are whole; 1 problems\n"
    assert f"{file}: damaged: " in shown.err


def test_a_picture_that_somebody_edited_is_accepted_when_asked_and_whole(
    store: GalleryStore, root: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    edited, damaged = (store.save(*draw(second)) for second in range(2))
    store.close()
    file = picture_file(root, edited)
    file.write_bytes(with_record(encode_png(np.zeros((48, 64, 3), np.uint8)), edited))
    picture_file(root, damaged).write_bytes(b"nothing of a picture")
    assert run_check(root, "--accept") == 1
    shown = capsys.readouterr()
    assert shown.out == "1 pictures are whole, 1 of them noted now; 1 problems\n" and damaged.filename in shown.err
    assert run_check(root) == 1 and edited.filename not in capsys.readouterr().err


def test_a_picture_whose_edit_was_accepted_has_a_new_thumbnail(store: GalleryStore, root: Path, draw: Draw) -> None:
    record = store.save(*draw())
    before = store.thumbnail(record.id)
    picture_file(root, record).write_bytes(with_record(encode_png(np.zeros((48, 64, 3), np.uint8)), record))
    assert store.check(accept=True).noted == 1
    with Image.open(io.BytesIO(store.thumbnail(record.id))) as small:
        assert small.convert("RGB").getextrema() == ((0, 0), (0, 0), (0, 0))
    assert store.thumbnail(record.id) != before


def test_a_rebuilt_index_learns_the_hashes_at_the_next_check(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    store.close()
    (root / "index.sqlite3").unlink()
    store.start()
    assert (store.check().noted, store.check().noted) == (1, 0)
    edited = bytearray(png)
    edited[edited.index(b"red apple")] ^= 1
    picture_file(root, record).write_bytes(edited)
    assert len(store.check().problems) == 1


def test_files_removed_added_and_foreign_are_reported_by_name(store: GalleryStore, root: Path, draw: Draw) -> None:
    gone, kept = store.save(*draw()), store.save(*draw(second=1))
    record, png = draw(second=2)
    gone_file = picture_file(root, gone)
    gone_file.unlink()
    added = root / "2026/11/23" / record.filename
    added.write_bytes(png)
    foreign = [added.with_name("holiday.png"), added.with_name("notes.txt"), added.with_name("link.png")]
    foreign[0].write_bytes(png)
    foreign[1].write_text("x")
    foreign[2].symlink_to("/dev/zero")
    findings = store.check()
    assert findings.whole == 1
    assert sorted(findings.problems) == sorted(
        [
            f"{gone_file}: removed by hand; 'visioncraft gallery reindex' drops its row",
            f"{added}: not in the index; 'visioncraft gallery reindex' lists it",
            *(f"{path}: a foreign file; move it elsewhere" for path in foreign),
        ]
    )
    outcome = store.reindex()
    assert (outcome.indexed, outcome.removed) == (2, 1)
    assert {each.id for each in store.list(5).items} == {kept.id, record.id}


def test_what_lies_about_outside_the_days_is_reported_once(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    store.thumbnail(record.id)
    (root / "index.sqlite3.damaged").write_bytes(b"an older index")
    (root / "2026/11/23/.being-written.png.tmp").write_bytes(b"half")
    strays = [root / record.filename, root / "notes.txt", root / "2026/x.png", root / "2026/11/x.png", root / "2026/1"]
    strays += [root / "pictures", root / "2026/11/23/more", root / "2027"]
    for stray in strays[:4]:
        stray.write_bytes(png)
    for stray in strays[4:7]:
        stray.mkdir()
        (stray / record.filename).write_bytes(png)
    strays[7].symlink_to(root / "2026")
    assert sorted(store.check().problems) == sorted(f"{path}: a foreign file; move it elsewhere" for path in strays)


def test_what_a_reindex_does_not_list_is_not_sent_there(store: GalleryStore, root: Path, draw: Draw) -> None:
    torn, kept = store.save(*draw()), store.save(*draw(second=1))
    torn_file, kept_file = picture_file(root, torn), picture_file(root, kept)
    torn_file.write_bytes(torn_file.read_bytes()[:500])
    copy = kept_file.with_name(image_filename("img_zzzzzzzzzzzzzzzzzzzzzzzzzz", kept.created_at))
    shutil.copy(kept_file, copy)
    assert store.reindex().indexed == 1
    assert sorted(store.check().problems) == sorted(
        [
            f"{torn_file}: not in the index, and no whole picture of ours; restore it from a copy or move it elsewhere",
            f"{copy}: not in the index, and a copy of picture {kept.id}; move it elsewhere",
        ]
    )


def bounded(root: Path, **bounds: float) -> GalleryStore:
    store = GalleryStore(root, GallerySettings.model_validate(bounds))
    store.start()
    return store


def test_nothing_is_ever_removed_unless_the_settings_say_so(store: GalleryStore, draw: Draw) -> None:
    record, png = draw()
    store.save(replace(record, created_at=datetime(1999, 1, 1, tzinfo=UTC)), png)
    store.save(*draw())
    assert store.count() == 2


def test_past_keep_pictures_the_oldest_without_a_star_go(root: Path, draw: Draw) -> None:
    store = bounded(root, keep_pictures=3)
    starred = store.save(*draw(second=0))
    store.mark(starred.id, Marks(favourite=True))
    saved = [store.save(*draw(second=second)) for second in range(1, 6)]
    assert [record.id for record in store.list(9).items] == [saved[4].id, saved[3].id, starred.id]
    assert len(list(root.rglob("*.png"))) == 3
    store.close()


def test_past_keep_days_pictures_go_at_the_start(root: Path, draw: Draw) -> None:
    store = bounded(root)
    for days in (1, 9, 11, 400):
        record, png = draw()
        store.save(replace(record, created_at=datetime.now(UTC) - timedelta(days=days), prompt=str(days)), png)
    store.close()
    store = bounded(root, keep_days=10)
    assert [record.prompt for record in store.list(9).items] == ["1", "9"]
    store.close()


def test_past_keep_gb_the_oldest_go(root: Path, draw: Draw) -> None:
    record, png = draw()
    store = bounded(root, keep_gb=2.5 * len(png) / 2**30)
    for second in range(5):
        kept = replace(record, id=draw()[0].id, filename="", created_at=record.created_at + timedelta(seconds=second))
        store.save(kept, png)
    assert store.count() == 2
    assert [each.created_at.second for each in store.list(9).items] == [54, 53]
    store.close()


def test_a_full_disk_is_told_before_anything_is_drawn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bounded(root, min_free_mb=100)
    store.check_room()
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 * 2**20 - 1))
    with pytest.raises(StorageError, match=r"disk is full: 99 MiB are free, new pictures need 100 .*free some space"):
        store.check_room()
    store.close()


@pytest.mark.parametrize("arguments", [["list"], ["check"], ["export", "--to", "{}/all.zip"], ["path"]])
def test_commands_that_only_look_remove_nothing(
    arguments: list[str], root: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    store = bounded(root)
    for second in range(3):
        store.save(*draw(second))
    store.close()
    group = gallery_group(lambda: GalleryStore(root, GallerySettings(keep_pictures=1)), Settings())
    with pytest.raises(SystemExit) as ended:
        group.main(args=[each.format(root.parent) for each in arguments], prog_name="visioncraft gallery")
    assert not ended.value.code, capsys.readouterr().err
    assert len(list(root.rglob("*.png"))) == 3
    store = bounded(root, keep_pictures=1)
    assert len(list(root.rglob("*.png"))) == 1
    store.close()

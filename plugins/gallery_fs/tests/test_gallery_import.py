"""Taking in folders: once each, of other galleries too, past what is torn, on where it was cut off."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from foreign_files import A1111, COMFY, PIXELS, add_missing, write_png
from visioncraft import ImageRecord, InvalidRequest, Marks, StorageError, encode_png, replay, with_record
from visioncraft.settings import Settings
from visioncraft_gallery_fs.cli.commands import gallery_group
from visioncraft_gallery_fs.settings import GallerySettings
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def run_import(root: Path, folder: Path) -> int:
    with pytest.raises(SystemExit) as ended:
        gallery_group(lambda: GalleryStore(root), Settings()).main(args=["import", str(folder)], prog_name="gallery")
    return int(ended.value.code or 0)


def test_a_picture_is_taken_once_whatever_its_name_even_by_a_rebuilt_index(
    store: GalleryStore, root: Path, tmp_path: Path
) -> None:
    content = write_png(tmp_path / "in/a.png", parameters=A1111)
    (tmp_path / "in/b.png").write_bytes(content)
    assert (add_missing(store, tmp_path / "in").added.total(), add_missing(store, tmp_path / "in").known) == (1, 2)
    store.close()
    (root / "index.sqlite3").unlink()
    store.start()
    assert add_missing(store, tmp_path / "in").known == 2
    assert store.count() == 1


def test_pictures_of_another_gallery_of_ours_keep_id_bytes_and_marks(
    store: GalleryStore, tmp_path: Path, draw: Draw
) -> None:
    other = GalleryStore(tmp_path / "other")
    other.start()
    record, png = draw()
    other.save(record, png)
    other.mark(record.id, Marks(("fruit",), True, 5, "mine"))
    other.close()
    assert add_missing(store, other.root).added == {"visioncraft": 1}
    assert store.get(record.id) == replace(record, marks=Marks(("fruit",), True, 5, "mine"))
    assert store.open(record.id) == png
    assert add_missing(store, other.root).known == 1
    (found,) = other.root.rglob("*.png")
    found.write_bytes(png.replace(b"\0\0\0\0IEND", b"\0\0\0\0IEND") + b"more")
    (sentence,) = add_missing(store, other.root).skipped
    assert f"{found}: the gallery has {record.id} with other content" in sentence


def test_torn_foreign_and_plain_files_are_reported_by_name_and_the_rest_comes_in(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    whole = write_png(folder / "whole.png", parameters=A1111)
    (folder / "torn.png").write_bytes(whole[:-500])
    flipped = bytearray(whole)
    flipped[-200] ^= 1
    (folder / "flipped.png").write_bytes(flipped)
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").write_bytes(b"")
    write_png(folder / "holiday.png")
    (folder / "notes.txt").write_text("not even asked")
    (folder / "link.png").symlink_to("/dev/zero")
    assert run_import(root, folder) == 0
    shown = capsys.readouterr()
    assert shown.out == "1 pictures imported (1 of automatic1111), 0 were here already, 5 skipped\n"
    for name in ("torn.png", "flipped.png", "text.png", "empty.jpg", "holiday.png"):
        assert f"Skipped {folder / name}: " in shown.err
    assert "notes.txt" not in shown.err and "link.png" not in shown.err
    assert "Importing pictures" in shown.err and "Traceback" not in shown.err


@pytest.fixture
def foreground() -> Iterator[None]:
    """Ctrl-C interrupts this process, as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_import_that_was_cut_off_goes_on_where_it_ended(
    number: signal.Signals,
    store: GalleryStore,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in range(5):
        write_png(tmp_path / f"in/{seed}.png", parameters=A1111.replace("1234567890", str(seed)))
    save, saves = GalleryStore.save, iter(range(2))

    def cut_off(self: GalleryStore, record: ImageRecord, png: bytes) -> ImageRecord:
        if next(saves, None) is None:
            signal.raise_signal(number)
        return save(self, record, png)

    with monkeypatch.context() as patched:
        patched.setattr(GalleryStore, "save", cut_off)
        assert run_import(root, tmp_path / "in") == 130
    shown = capsys.readouterr()
    assert shown.out.startswith("2 pictures imported") and "the same command goes on from here" in shown.err
    assert run_import(root, tmp_path / "in") == 0
    assert capsys.readouterr().out.startswith("3 pictures imported (3 of automatic1111), 2 were here already")
    assert store.count() == 5


def test_an_import_that_finds_the_disk_full_tells_how_far_it_came(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        write_png(tmp_path / f"in/{seed}.png", parameters=A1111.replace("1234567890", str(seed)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(StorageError, match="the disk is full"):
        run_import(root, tmp_path / "in")
    shown = capsys.readouterr()
    assert shown.out.startswith("1 pictures imported") and "the same command goes on from here" in shown.err


def test_a_pipe_called_as_a_picture_is_passed_over(store: GalleryStore, tmp_path: Path) -> None:
    write_png(tmp_path / "in/a.png", parameters=A1111)
    os.mkfifo(tmp_path / "in/b.png")
    assert add_missing(store, tmp_path / "in").added == {"automatic1111": 1}


def test_a_folder_that_cannot_be_read_is_named(
    store: GalleryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "in/a.png", parameters=A1111)
    monkeypatch.chdir(tmp_path / "in")
    for _ in range(20):  # deeper than a path may be long, which stops root too
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    tally = add_missing(store, tmp_path / "in")
    assert tally.added == {"automatic1111": 1}
    (sentence,) = tally.skipped
    assert sentence.startswith(str(tmp_path / "in/ddd")) and "cannot be read: File name too long" in sentence


def test_a_picture_older_than_what_is_kept_is_not_told_to_be_imported(tmp_path: Path, draw: Draw) -> None:
    write_png(tmp_path / "in/a.png", parameters=A1111)
    os.utime(tmp_path / "in/a.png", (0, 0))
    own = replace(draw()[0], created_at=datetime(2020, 1, 1, tzinfo=UTC))
    (tmp_path / "in/own.png").write_bytes(with_record(encode_png(PIXELS), own))
    store = GalleryStore(tmp_path / "bounded", GallerySettings(keep_days=5))
    store.start()
    tally = add_missing(store, tmp_path / "in")
    assert (tally.added.total(), store.count()) == (0, 0)
    assert len(tally.skipped) == 2 and all("keep_days" in sentence for sentence in tally.skipped)
    store.close()


def test_an_import_tells_of_seeds_that_it_cannot_keep_and_a_replay_draws_no_other(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("large", 2**64 - 1), ("small", 7)):
        write_png(tmp_path / f"in/{name}.png", prompt=json.dumps({**COMFY, "11": {"inputs": {"seed": seed}}}))
    assert run_import(root, tmp_path / "in") == 0
    shown = capsys.readouterr()
    assert shown.out == "2 pictures imported (2 of comfyui), 0 were here already, 0 skipped\n"
    assert "1 with a seed past 2**63 - 1 have it among their facts, as original_seed\n" in shown.err
    store = GalleryStore(root)
    store.start()
    small, large = sorted(store.list(5).items, key=lambda record: -record.seed)
    assert (small.seed, large.seed, large.facts["original_seed"]) == (7, 0, "18446744073709551615")
    with pytest.raises(InvalidRequest, match="seed") as caught:
        replay(Settings(), large)
    assert "18446744073709551615" in str(caught.value.details["issue"])
    store.close()

"""`visioncraft gallery export`: the pictures that fit, in a zip that is whole or not there."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from visioncraft import ImageRecord, Marks, with_record
from visioncraft.settings import Settings
from visioncraft_gallery_fs.cli.commands import gallery_group
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def run(root: Path, *arguments: str) -> int:
    """`visioncraft gallery …` in this process; answers the exit status."""
    with pytest.raises(SystemExit) as ended:
        gallery_group(lambda: GalleryStore(root), Settings()).main(args=arguments, prog_name="visioncraft gallery")
    return int(ended.value.code or 0)


def run_export(root: Path, *arguments: str) -> int:
    return run(root, "export", *arguments)


def start_export(store: GalleryStore, file: Path, *before: str) -> subprocess.Popen[str]:
    """The same as a process of its own, with the settings beside the gallery."""
    settings = store.root.parent / "settings.toml"
    settings.write_text('[plugins.config.gallery_fs]\nroot = "gallery"\n')
    command = [sys.executable, "-c", "from visioncraft.cli import main; main()", "--settings", str(settings)]
    command = [*before, *command, "gallery", "export", "--to", str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def ids(store: GalleryStore, draw: Draw) -> dict[str, str]:
    """Three pictures of different days, by name: an apple of 2024, a pear of 2025, a starred fox of 2026."""
    made = {}
    for number, (name, model) in enumerate({"apple": "mini", "pear": "mini", "fox": "other-1.0"}.items()):
        record, png = draw(prompt=f"a red {name}", model=model)
        moment = datetime(2024 + number, 3, 1, 12, tzinfo=UTC)
        record = replace(record, created_at=moment, seed=number, width=64 * (number + 1), facts={"generator": name})
        made[name] = store.save(replace(record, filename=""), with_record(png, record)).id
    store.mark(made["fox"], Marks(("animal", "red"), True, 5, "mine"))
    store.mark(made["pear"], Marks(("red",), False, 2, ""))
    return made


FILTERS = {
    "--q apple": "apple",
    "-q '\"red fo\"*'": "fox",
    "--search a": "apple pear fox",
    "--model OTHER-1-0": "fox",
    "--generator pear": "pear",
    "--width 128": "pear",
    "--width 64 --height 48": "apple",
    "--seed 2": "fox",
    "--since 2025-03-01": "pear fox",
    "--since 2025-03-01T12:00:00Z --until 2026-03-01T13:00:00+01:00": "pear",
    "--tag RED": "pear fox",
    "--tag red --tag animal": "fox",
    "--favourite": "fox",
    "--no-favourite": "apple pear",
    "--min-rating 2": "pear fox",
    "--min-rating 2 --model mini": "pear",
    "--tag nobody": "",
}


@pytest.mark.parametrize("typed", FILTERS)
def test_the_zip_holds_what_fits_every_filter(
    typed: str, store: GalleryStore, ids: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {store.open(ids[name]) for name in FILTERS[typed].split()}
    assert run_export(store.root, *shlex.split(typed), "--to", str(tmp_path / "out.zip")) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{len(expected)} pictures exported to {tmp_path / 'out.zip'}, 0 left out\n"
    assert "Exporting pictures" in shown.err and f"{len(expected)}/{len(expected)}" in shown.err
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        assert {archive.read(name) for name in archive.namelist() if name.endswith(".png")} == expected


@pytest.mark.parametrize("typed", FILTERS)
def test_the_list_shows_what_fits_every_filter(
    typed: str, store: GalleryStore, ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store.root, "list", *shlex.split(typed)) == 0
    shown = capsys.readouterr().out
    expected = FILTERS[typed].split()
    assert {name for name in ids if ids[name] in shown} == set(expected)
    assert f"{len(expected)} of {len(expected)} pictures" in shown


def test_a_zip_unpacked_is_a_gallery_with_the_same_pictures_and_marks(
    store: GalleryStore, ids: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "out.zip").write_text("an older one")
    assert run_export(store.root, "--to", str(tmp_path / "out.zip")) == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        archive.extractall(tmp_path / "other")
    other = GalleryStore(tmp_path / "other")
    other.start()
    assert other.list(10) == store.list(10)
    other.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_export_that_is_stopped_leaves_what_was_there_before_and_nothing_else(
    number: signal.Signals, store: GalleryStore, ids: dict[str, str], tmp_path: Path
) -> None:
    picture = next((store.root / "2025").rglob("*.png"))
    picture.unlink()
    os.mkfifo(picture)  # whoever reads this picture waits for a writer
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips/out.zip").write_text("an older one")
    # The second of these opens once the export reads it.
    with start_export(store, tmp_path / "zips/out.zip") as process, picture.open("wb"):
        assert len(names_in(tmp_path / "zips")) == 2
        process.send_signal(number)
        said = process.communicate()[1]
    assert process.returncode == 130
    assert "Stopped; nothing was written\n" in said and "Traceback" not in said
    assert names_in(tmp_path / "zips") == ["out.zip"]
    assert (tmp_path / "zips/out.zip").read_text() == "an older one"


def test_an_export_that_finds_no_room_leaves_nothing_and_names_the_next_step(
    store: GalleryStore, draw: Draw, tmp_path: Path
) -> None:
    for _ in range(3):
        record, png = draw()
        store.save(record, png + bytes(2**20))
    (tmp_path / "zips").mkdir()
    # In place of a full disk: no file of this process may grow past two MiB.
    with start_export(store, tmp_path / "zips/out.zip", "prlimit", f"--fsize={2**21}") as process:
        said = process.communicate()[1]
    assert process.returncode == 1
    assert f"Error: {tmp_path / 'zips/out.zip'}: cannot be written: File too large; " in said
    assert "or name another file" in said and "Traceback" not in said
    assert names_in(tmp_path / "zips") == []


def test_a_picture_that_is_gone_is_named_and_the_rest_is_exported(
    store: GalleryStore, ids: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    next((store.root / "2025").rglob("*.png")).unlink()
    assert run_export(store.root, "--to", str(tmp_path / "out.zip")) == 1
    shown = capsys.readouterr()
    assert shown.out == f"2 pictures exported to {tmp_path / 'out.zip'}, 1 left out\n"
    assert f"{ids['pear']} is not exported: No picture" in shown.err
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "out.zip", "--since", "yesterday"], "'yesterday' is no time as 2026-11-23"),
        (["--to", "out.zip", "--min-rating", "6"], "--min-rating"),
        (["--to", "out.zip", "--seed", str(2**63)], "--seed"),
        (["--to", "out.zip", "--model", "\udcff"], "bytes that are no text"),
        (["--to", "."], "is a directory"),
        ([], "Missing option '--to'"),
    ],
)
def test_wrong_arguments_are_told_and_touch_no_disk(
    arguments: list[str],
    said: str,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_export(root, *arguments) == 2
    assert said in capsys.readouterr().err
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "/dev/null"], "is no ordinary file; name another"),
        (["--to", "missing/out.zip"], "No such file or directory; make the folder or name another file"),
    ],
)
def test_what_cannot_be_exported_is_one_error_and_no_file(
    arguments: list[str],
    said: str,
    store: GalleryStore,
    ids: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    group = gallery_group(lambda: GalleryStore(store.root), Settings())
    with pytest.raises(Exception, match=said):
        group.main(args=["export", *arguments], prog_name="visioncraft gallery")
    assert names_in(tmp_path) == ["gallery"]

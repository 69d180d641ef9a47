"""The hooks, the settings and `visioncraft gallery`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from visioncraft import ConfigurationError, ImageRecord
from visioncraft.settings import Settings, load_settings
from visioncraft_gallery_fs import plugin
from visioncraft_gallery_fs.cli.commands import gallery_group
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def settings_file(folder: Path, table: str = "") -> Settings:
    file = folder / "settings.toml"
    file.write_text(f'data_dir = "pictures"\n[plugins.config.gallery_fs]\n{table}\n')
    return load_settings(file)


def run_visioncraft(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`visioncraft --settings … …` as a process of its own."""
    code = "from visioncraft.cli import main; main()"
    command = [sys.executable, "-c", code, "--settings", str(settings.file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_gallery(root: Path, *arguments: str) -> int:
    """`visioncraft gallery …` in this process, as the core runs a plugin's command; answers the exit status."""
    with pytest.raises(SystemExit) as ended:
        gallery_group(lambda: GalleryStore(root), Settings()).main(
            args=list(arguments), prog_name="visioncraft gallery"
        )
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("table", "expected"),
    [("", "pictures/gallery"), ('root = "auto"', "pictures/gallery"), ('root = "mine/here"', "mine/here")],
)
def test_the_folder_counts_from_the_settings_file(table: str, expected: str, tmp_path: Path) -> None:
    (store,) = plugin.visioncraft_stores(settings_file(tmp_path, table))
    assert isinstance(store, GalleryStore)
    assert store.root == tmp_path.resolve() / expected


def test_an_absolute_folder_and_one_in_the_home_folder_are_taken_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for written, meant in ((str(tmp_path / "a"), tmp_path / "a"), ("~/b", tmp_path / "home/b")):
        assert plugin.gallery(settings_file(tmp_path, f'root = "{written}"')).root == meant.resolve()


@pytest.mark.parametrize("table", ['rot = "x"', "thumbnail_side = 5", "root = 3"])
def test_a_wrong_table_is_refused_by_file_and_key(table: str, tmp_path: Path) -> None:
    key = table.split(" ", 1)[0]
    with pytest.raises(ConfigurationError, match=rf"settings\.toml: plugins\.config\.gallery_fs\.{key}"):
        plugin.visioncraft_stores(settings_file(tmp_path, table))


def test_offering_the_store_and_the_commands_touches_no_disk_and_loads_no_sqlalchemy(tmp_path: Path) -> None:
    settings = settings_file(tmp_path)
    code = (
        "import sys, pathlib; from visioncraft.settings import load_settings;"
        "from visioncraft_gallery_fs import plugin;"
        "settings = load_settings(pathlib.Path(sys.argv[1]));"
        "plugin.visioncraft_stores(settings); plugin.visioncraft_commands(settings);"
        "print({'sqlalchemy', 'numpy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(settings.file)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert not (tmp_path / "pictures").exists()


def test_list_shows_the_newest_pictures_in_a_table(
    store: GalleryStore, root: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = draw(second=0, model="mini"), draw(second=5, model="other-1.0", prompt="a \x1b[31mred\n[bold]pear")
    for record, png in (old, new):
        store.save(record, png)
    assert run_gallery(root, "list") == 0
    shown = capsys.readouterr().out
    assert 0 < shown.index(new[0].id) < shown.index(old[0].id)
    assert "2 of 2 pictures" in shown
    assert "a  [31mred [bold]pear" in shown and "\x1b" not in shown
    assert run_gallery(root, "list", "--model", "OTHER-1-0", "--limit", "5") == 0
    shown = capsys.readouterr().out
    assert new[0].id in shown and old[0].id not in shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "Rebuild the index"),
        ([], 2, "Rebuild the index"),
        (["list", "--limit", "x"], 2, "Invalid value for '--limit'"),
        (["list", "--limit", "0"], 2, "Invalid value for '--limit'"),
        (["nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_wrong_arguments_are_told_and_touch_no_disk(
    arguments: list[str], code: int, said: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_gallery(root, *arguments) == code
    shown = capsys.readouterr()
    assert said in shown.out + shown.err
    assert not root.exists()


def test_reindex_says_what_it_found(
    store: GalleryStore, root: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    record, png = draw()
    store.save(record, png)
    store.close()
    (root / "index.sqlite3").unlink()
    torn = root / "2026/11/23/generated_image_20261123_000000_bbbbbb.png"
    torn.write_bytes(png[:-40])
    assert run_gallery(root, "reindex") == 0
    shown = capsys.readouterr()
    assert shown.out == "1 pictures indexed\n"
    assert "Reading pictures" in shown.err and "2/2" in shown.err
    assert f"Skipped {torn}: The PNG ends early" in shown.err
    store.start()
    assert list(store.list(10).items) == [record]


def test_reindex_finds_damage_that_a_start_overlooks(
    store: GalleryStore, root: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    for second in range(60):
        store.save(*draw(second, prompt="the thirtieth" if second == 30 else "a long prompt " * 40))
    before = store.list(100)
    store.close()
    file, aside = root / "index.sqlite3", root / "index.sqlite3.damaged"
    content = bytearray(file.read_bytes())
    page = content.index(b"the thirtieth") // 4096 * 4096  # SQLite's own page size
    content[page : page + 4096] = b"\xff" * 4096
    file.write_bytes(content)
    store.start()
    store.close()
    assert not aside.exists()
    assert run_gallery(root, "reindex") == 0
    assert aside.exists()
    assert capsys.readouterr().out == "60 pictures indexed\n"
    store.start()
    assert store.list(100) == before


def test_the_group_is_found_by_the_command_line_of_the_core(tmp_path: Path) -> None:
    done = run_visioncraft(settings_file(tmp_path), "gallery", "path")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path.resolve() / "pictures/gallery"))


def test_an_error_is_one_line_that_names_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file in the way")
    done = run_visioncraft(settings_file(tmp_path), "gallery", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert "the gallery cannot be written" in done.stderr and "root to another folder" in done.stderr

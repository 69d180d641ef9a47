"""The hooks, the settings and `visioncraft gallery`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from click.testing import CliRunner
from visioncraft import ConfigurationError, ImageRecord
from visioncraft.settings import Settings, load_settings
from visioncraft_gallery_fs import plugin
from visioncraft_gallery_fs.commands import gallery_group
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]


def settings_file(folder: Path, table: str = "") -> Settings:
    file = folder / "settings.toml"
    file.write_text(f'data_dir = "pictures"\n[plugins.config.gallery_fs]\n{table}\n')
    return load_settings(file)


def run_command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The group as a process of its own, as `visioncraft gallery …` runs it."""
    code = (
        "import sys, pathlib; from visioncraft.settings import load_settings;"
        "from visioncraft_gallery_fs import plugin;"
        "[group] = plugin.visioncraft_commands(load_settings(pathlib.Path(sys.argv.pop(1)))); group()"
    )
    assert settings.file is not None
    command = [sys.executable, "-c", code, str(settings.file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def typer_root() -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    return typer.main.get_command(app)


@pytest.mark.parametrize("make_root", [click.Group, typer_root], ids=["click", "typer"])
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "Pictures on disk"),
        (["gallery", "--help"], 0, "Rebuild the index"),
        (["gallery"], 2, "Rebuild the index"),
        (["gallery", "path"], 0, "/pictures/gallery"),
        (["gallery", "list", "--limit", "x"], 2, "Usage: visioncraft gallery list"),
        (["gallery", "nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_the_group_is_at_home_under_click_and_under_typer(
    make_root: Callable[[], Any],
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make_root()
    (group,) = plugin.visioncraft_commands(settings_file(tmp_path))
    root.add_command(group, group.name)
    with pytest.raises(SystemExit) as ended:
        root.main(args=arguments, prog_name="visioncraft")
    assert ended.value.code == code
    shown = capsys.readouterr()
    assert said in shown.out + shown.err


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


def test_list_shows_the_newest_pictures_in_a_table(store: GalleryStore, root: Path, draw: Draw) -> None:
    old, new = draw(second=0, model="mini"), draw(second=5, model="other-1.0", prompt="a \x1b[31mred\n[bold]pear")
    for record, png in (old, new):
        store.save(record, png)
    done = CliRunner().invoke(gallery_group(lambda: GalleryStore(root)), ["list"])
    assert done.exit_code == 0
    assert done.output.index(new[0].id) < done.output.index(old[0].id)
    assert "2 of 2 pictures" in done.output
    assert "a  [31mred [bold]pear" in done.output and "\x1b" not in done.output
    done = CliRunner().invoke(
        gallery_group(lambda: GalleryStore(root)), ["list", "--model", "OTHER-1-0", "--limit", "5"]
    )
    assert new[0].id in done.output and old[0].id not in done.output


def test_reindex_says_what_it_found(store: GalleryStore, root: Path, draw: Draw) -> None:
    record, png = draw()
    store.save(record, png)
    store.close()
    (root / "index.sqlite3").unlink()
    torn = root / "2026/11/23/generated_image_20261123_000000_bbbbbb.png"
    torn.write_bytes(png[:-40])
    done = CliRunner().invoke(gallery_group(lambda: GalleryStore(root)), ["reindex"])
    assert done.exit_code == 0
    assert done.stdout == "1 pictures indexed\n"
    assert "Reading pictures" in done.stderr and "2/2" in done.stderr
    assert f"Skipped {torn}: The PNG ends early" in done.stderr
    store.start()
    assert list(store.list(10).items) == [record]


def test_reindex_finds_damage_that_a_start_overlooks(store: GalleryStore, root: Path, draw: Draw) -> None:
    for second in range(60):
        store.save(*draw(second, prompt="a long prompt " * 40))
    before = store.list(100)
    store.close()
    file = root / "index.sqlite3"
    content = bytearray(file.read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    file.write_bytes(content)
    done = CliRunner().invoke(gallery_group(lambda: GalleryStore(root)), ["reindex"])
    assert (done.exit_code, done.stdout) == (0, "60 pictures indexed\n")
    store.start()
    assert store.list(100) == before


def test_path_prints_the_folder_as_a_command_of_its_own(tmp_path: Path) -> None:
    done = run_command(settings_file(tmp_path), "path")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path.resolve() / "pictures/gallery"))


def test_an_error_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file in the way")
    done = run_command(settings_file(tmp_path), "list")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert "the gallery cannot be written" in done.stderr

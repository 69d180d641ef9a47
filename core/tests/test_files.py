"""What lies in people's folders is looked at without waiting, and no entry takes the others away."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from visioncraft import check_regular, find_below, is_bystander, read_bounded, state_of


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


ODD = {
    "a FIFO": fifo,
    "a device without end": link_to("/dev/zero"),
    "a folder": Path.mkdir,
    "a socket": a_socket,
    "a link in a circle": lambda path: path.symlink_to(path),
    "a link to nowhere": link_to("/no/such/file"),
}


def weights(path: Path, folder: bool) -> bool:
    return path.suffix == ".safetensors" or (folder and (path / "model_index.json").is_file())


def names(root: Path, **more: frozenset[str]) -> list[str]:
    return [each.name for each in find_below(root, weights, **more)]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ODD)
def test_only_regular_files_are_read_and_nothing_is_waited_for(tmp_path: Path, kind: str) -> None:
    ODD[kind](tmp_path / "x")
    for look in (check_regular, lambda path: read_bounded(path, 100)):
        with pytest.raises(OSError) as caught:
            look(tmp_path / "x")
        assert caught.value.strerror


def test_a_read_ends_at_its_bound_and_follows_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to("a")
    assert read_bounded(tmp_path / "b", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 0 MB"):
        read_bounded(tmp_path / "b", 4)


@pytest.mark.parametrize("name", ["._x.json", ".DS_Store", "Thumbs.db", "desktop.ini", "a.part", "a.crdownload", "a~"])
def test_what_file_managers_and_downloads_leave_is_a_bystander(name: str) -> None:
    assert is_bystander(name) and not is_bystander("a.safetensors")


def test_files_are_found_in_folders_of_folders_by_their_paths(tmp_path: Path) -> None:
    for name in ("b/deep/x.safetensors", "a.safetensors", "b/._y.safetensors", "loras/z.safetensors", "c/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "model").mkdir()
    (tmp_path / "b" / "model" / "model_index.json").touch()
    (tmp_path / "b" / "model" / "unet.safetensors").touch()
    assert names(tmp_path, passed_over=frozenset({"loras"})) == ["a.safetensors", "b/model", "b/deep/x.safetensors"]
    assert names(tmp_path / "nowhere") == []


def test_links_in_a_circle_end_and_hide_nothing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "x.safetensors").touch()
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "ring.safetensors").symlink_to("ring.safetensors")  # whoever opens it is told
    assert names(tmp_path) == ["ring.safetensors", "sub/x.safetensors"]


def test_a_folder_without_end_is_told_and_left(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * 12)
    deepest.mkdir(parents=True)
    (tmp_path / "a.safetensors").touch()
    found = list(find_below(tmp_path, weights))
    assert [each.name for each in found if not each.trouble] == ["a.safetensors"]
    assert [each.trouble.partition(":")[0] for each in found if each.trouble] == ["is not looked into"]


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.safetensors")).touch()
    (found,) = find_below(tmp_path, weights)
    assert found.name == "\\udcff.safetensors" and "rename" in found.trouble


def test_a_state_changes_with_the_files_and_not_with_bystanders(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    weights_file = folder / "unet" / "x.safetensors"
    weights_file.write_bytes(b"1234")
    before = state_of(folder)
    (folder / "unet" / "._x.safetensors").touch()
    (folder / "odd").symlink_to("odd")  # leads nowhere, so nothing of it can be read
    assert state_of(folder) == before
    facts = weights_file.stat()
    other = tmp_path / "other"
    other.write_bytes(b"4321")
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(weights_file)
    assert state_of(folder) != before, "the size and the time are the same, the file is another"
    assert state_of(tmp_path / "nowhere") is None

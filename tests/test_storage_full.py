"""A disk that is full, or for reading alone: the server starts, what it has is shown, new pictures are refused."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from disks import Disk, small_disk
from harness import House, Server, error_of, fake_house, free_port, served
from httpx_sse import connect_sse

LARGE = {"width": 512, "height": 512}


@contextmanager
def on_a_small_disk(house: House) -> Iterator[Disk]:
    """A disk that holds the house's data."""
    house.tables["plugins.config.gallery_fs"] = {"min_free_mb": 0}
    with small_disk(house.gallery.parent, "8m") as mounted:
        house.namespaces_of = mounted.holder
        yield mounted


@pytest.fixture
def disk(house: House) -> Iterator[Disk]:
    """Holds the house's data."""
    with on_a_small_disk(house) as mounted:
        yield mounted


@dataclass(frozen=True, slots=True)
class Left:
    """What servers left that drew two pictures.

    Args:
        ended: The data folder of one that ended in order.
        killed: The same as one that was killed before left it.
        pictures: By their ids.
    """

    ended: Path
    killed: Path
    pictures: dict[str, bytes]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Drawn once, on a disk with room; the tests copy it to theirs."""
    house = fake_house(tmp_path_factory.mktemp("earlier"))
    with served(house) as server:
        ids = [server.draw("noise", **LARGE).headers["x-image-id"] for _ in range(2)]
        pictures = {each: server.get(f"/images/{each}").content for each in ids}
        server.process.kill()
        server.process.wait()
    killed = shutil.copytree(house.gallery.parent, house.folder / "killed")
    with served(house) as server:
        assert server.pictures() == 2
    return Left(house.gallery.parent, killed, pictures)


def shown(server: Server, pictures: dict[str, bytes]) -> None:
    """Everything that only looks works."""
    assert server.pictures() == len(pictures)
    for each, png in pictures.items():
        assert server.get(f"/images/{each}").content == png
        assert server.get(f"/images/{each}/thumbnail").status_code == 200


def refused(server: Server, because: str) -> None:
    """Nothing new is drawn, and the answer says why."""
    for answer in (server.draw("noise", **LARGE), server.post("/jobs", {"prompt": "noise"})):
        assert because in error_of(answer, 503, "SERVICE_UNAVAILABLE")["message"]
    assert len(server.get("/fake/seen").json()) == 0


def looked_at(house: House, pictures: dict[str, bytes]) -> None:
    """The commands that only look do so."""
    target = house.folder / "all.zip"
    listing, exporting, checking, path = done = [
        house.command("gallery", *words)
        for words in (("list",), ("export", "--to", str(target)), ("check",), ("path",))
    ]
    assert [each.returncode for each in done] == [0] * 4, [each.stderr for each in done]
    assert all(each in listing.stdout for each in pictures)
    with zipfile.ZipFile(target) as exported:
        assert sorted(map(exported.read, exported.namelist())) == sorted(pictures.values())
    target.unlink()
    assert checking.stdout == f"{len(pictures)} pictures are whole; 0 problems\n", checking.stderr
    assert path.stdout.strip() == str(house.gallery), exporting.stdout


@pytest.mark.parametrize("log", ["nothing", "a log", "a log alone"])
def test_a_server_starts_on_a_full_disk_and_draws_again_when_there_is_room(
    log: str, left: Left, disk: Disk, house: House
) -> None:
    """What a killed server left in its index's log is shown too."""
    pictures = dict(left.pictures)
    shutil.copytree(left.ended if log == "nothing" else left.killed, disk.inside, dirs_exist_ok=True)
    assert (disk.inside / "gallery/index.sqlite3-wal").exists() == (log != "nothing")
    if log == "a log alone":
        (disk.inside / "gallery/index.sqlite3-shm").unlink()
    disk.fill()
    looked_at(house, pictures)
    with served(house) as server:
        shown(server, pictures)
        refused(server, "disk is full")
        if log == "nothing":
            looked_at(house, pictures)
        gone = next(iter(pictures))
        assert server.delete(f"/images/{gone}").status_code == 204
        del pictures[gone]
        shown(server, pictures)
        disk.empty()
        answer = server.draw("noise", **LARGE)
        assert answer.status_code == 200, answer.text
        drawn = answer.headers["x-image-id"]
        shown(server, {**pictures, drawn: server.get(f"/images/{drawn}").content})


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "without an index"])
def test_a_server_starts_on_a_disk_that_is_for_reading_alone(lost: bool, left: Left, disk: Disk, house: House) -> None:
    pictures = left.pictures
    shutil.copytree(left.ended, disk.inside, dirs_exist_ok=True)
    if lost:
        (disk.inside / "gallery/index.sqlite3").unlink()
    disk.remount("ro")
    looked_at(house, pictures)
    with served(house) as server:
        shown(server, pictures)
        refused(server, "Read-only file system; mount it writable")
        assert error_of(server.client.patch(f"/images/{min(pictures)}", json={"rating": 3}), 503, "SERVICE_UNAVAILABLE")
        assert error_of(server.delete(f"/images/{min(pictures)}"), 503, "SERVICE_UNAVAILABLE")
        shown(server, pictures)
        disk.remount("rw")
        assert server.delete(f"/images/{min(pictures)}").status_code == 204
        assert "start the server again" in error_of(server.draw("noise"), 503, "SERVICE_UNAVAILABLE")["message"]
    with served(house) as server:
        assert server.draw("noise", **LARGE).status_code == 200
        assert server.pictures() == 2


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Disk]]:
    """A server on a small disk, whose troubles pass."""
    house = fake_house(tmp_path_factory.mktemp("standing"))
    with on_a_small_disk(house) as disk, served(house) as server:
        yield server, disk


@pytest.mark.parametrize("what", ["full", "frozen", "moved"])
def test_jobs_that_were_accepted_before_the_disk_took_nothing_are_all_drawn_when_it_is_back(
    what: str, standing: tuple[Server, Disk]
) -> None:
    server, disk = standing
    gallery = server.house.gallery
    aside = gallery.with_name("aside")
    begin, end, said = {
        "full": (disk.fill, disk.empty, "full|No space left"),
        "frozen": (lambda: disk.freeze(gallery), lambda: disk.thaw(gallery), "read-?only"),
        "moved": (lambda: disk.rename(gallery, aside), lambda: disk.rename(aside, gallery), "is away"),
    }[what]
    before = server.pictures()
    first, *others = [server.submit(prompt, **LARGE) for prompt in (f"gated {what}", *"bcd")]
    server.until(first, "running")
    begin()
    server.permit(what, 20)
    assert re.search(said, trouble_of(server, first), re.IGNORECASE)
    queue, status = server.get("/queue").json(), server.get("/status").json()["system_info"]
    assert (queue["paused"], queue["queued"]) == (True, len(others))
    assert re.search(said, status["queue_trouble"], re.IGNORECASE)
    assert server.delete(f"/jobs/{others.pop()}").json()["status"] == "cancelled"
    assert [server.get(f"/jobs/{job}").json()["status"] for job in others] == ["queued"] * len(others)
    end()
    for job in (first, *others):
        assert server.ended(job)["status"] == "succeeded"
    assert server.get("/queue").json() == {**queue, "paused": False, "trouble": None, "queued": 0, "running": 0}
    assert server.pictures() == before + 3


def trouble_of(server: Server, job: str) -> str:
    """Watch a job until its events say that the queue stands still; answers why."""
    with connect_sse(server.client, "GET", f"/jobs/{job}/events") as events:
        for event in events.iter_sse():
            if event.data and (said := event.json().get("trouble")):
                return str(said)
    raise AssertionError(f"{job} ended: {server.get(f'/jobs/{job}').text}")


def test_a_disk_for_reading_alone_without_a_picture_stops_the_start(disk: Disk, house: House) -> None:
    disk.remount("ro")
    house.tables["server"] = {"port": free_port()}
    done = house.command("serve")
    assert done.returncode == 1 and str(house.gallery) in done.stderr + done.stdout

"""A disk that is full, or for reading alone: the server starts, what it has is shown, new pictures are refused."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

import pytest
from disks import Disk, small_disk
from harness import House, Server, error_of, free_port, served
from httpx_sse import connect_sse

LARGE = {"width": 512, "height": 512}


@pytest.fixture
def disk(house: House) -> Iterator[Disk]:
    """Holds the house's data."""
    house.tables["plugins.config.gallery_fs"] = {"min_free_mb": 0}
    with small_disk(house.gallery.parent, "8m") as mounted:
        house.prefix = mounted.prefix
        yield mounted


def draw_two(house: House, kill: bool = False) -> dict[str, bytes]:
    """Two pictures by their ids, drawn by a server that has ended."""
    with served(house) as server:
        ids = [server.draw("noise", **LARGE).headers["x-image-id"] for _ in range(2)]
        pictures = {each: server.get(f"/images/{each}").content for each in ids}
        if kill:
            server.process.kill()
            server.process.wait()
    return pictures


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


def looked_at(disk: Disk, house: House, pictures: dict[str, bytes]) -> None:
    """The commands that only look do so."""
    done = disk.run(house, "gallery", "list")
    assert done.returncode == 0 and all(each in done.stdout for each in pictures), done.stderr
    target = house.folder / "all.zip"
    done = disk.run(house, "gallery", "export", "--to", str(target))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(target) as exported:
        assert sorted(map(exported.read, exported.namelist())) == sorted(pictures.values())
    done = disk.run(house, "gallery", "check")
    assert (done.returncode, done.stdout) == (0, f"{len(pictures)} pictures are whole; 0 problems\n"), done.stderr
    assert disk.run(house, "gallery", "path").stdout.strip() == str(house.gallery)


@pytest.mark.parametrize("left", ["nothing", "a log", "a log alone"])
def test_a_server_starts_on_a_full_disk_and_draws_again_when_there_is_room(left: str, disk: Disk, house: House) -> None:
    """What a killed server left in its index's log is shown too."""
    pictures = draw_two(house, kill=left != "nothing")
    assert (disk.inside / "gallery/index.sqlite3-wal").exists() == (left != "nothing")
    if left == "a log alone":
        (disk.inside / "gallery/index.sqlite3-shm").unlink()
    disk.fill()
    looked_at(disk, house, pictures)
    with served(house) as server:
        shown(server, pictures)
        refused(server, "disk is full")
        if left == "nothing":
            looked_at(disk, house, pictures)
        gone = next(iter(pictures))
        assert server.delete(f"/images/{gone}").status_code == 204
        del pictures[gone]
        shown(server, pictures)
        disk.empty()
        answer = server.draw("noise", **LARGE)
        assert answer.status_code == 200, answer.text
        shown(
            server,
            {
                **pictures,
                answer.headers["x-image-id"]: answer.content
                and server.get(f"/images/{answer.headers['x-image-id']}").content,
            },
        )


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "without an index"])
def test_a_server_starts_on_a_disk_that_is_for_reading_alone(lost: bool, disk: Disk, house: House) -> None:
    pictures = draw_two(house)
    if lost:
        (disk.inside / "gallery/index.sqlite3").unlink()
    disk.remount("ro")
    looked_at(disk, house, pictures)
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


@pytest.mark.parametrize("what", ["full", "for reading alone", "moved away"])
def test_jobs_that_were_accepted_before_the_disk_took_nothing_are_all_drawn_when_it_is_back(
    what: str, disk: Disk, house: House
) -> None:
    aside = house.gallery.with_name("aside")
    begin, end, said = {
        "full": (disk.fill, disk.empty, "full|No space left"),
        "for reading alone": (lambda: disk.freeze(house.gallery), lambda: disk.thaw(house.gallery), "read-?only"),
        "moved away": (lambda: disk.rename(house.gallery, aside), lambda: disk.rename(aside, house.gallery), "is away"),
    }[what]
    with served(house) as server:
        first, *others = [server.submit(prompt, **LARGE) for prompt in ("gated a", *"bcd")]
        server.until(first, "running")
        begin()
        server.permit("a", 20)
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
        assert server.pictures() == 3


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
    done = disk.run(house, "serve")
    assert done.returncode == 1 and str(house.gallery) in done.stderr + done.stdout

"""Pictures outlive the server; a gallery that cannot be written and a disk that fills up are told and survived."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from harness import House, Server, error_of, refused, served
from visioncraft import encode_png, read_record_file, with_record

LARGE = {"width": 512, "height": 512}
SMALL = {"width": 64, "height": 64}


def drawn(server: Server, **size: int) -> str:
    """Draw noise, which no encoder makes smaller; answers the picture's id."""
    answer = server.draw("noise", **size)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-image-id"])


def one_line_naming(said: str, culprit: Path) -> None:
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1, said
    assert str(culprit) in said


def test_pictures_outlive_a_server_that_is_killed(house: House) -> None:
    with served(house) as server:
        picture = drawn(server, **SMALL)
        png = server.get(f"/images/{picture}").content
        server.process.kill()
        server.process.wait()
    with served(house) as server:
        assert server.pictures() == 1
        assert server.get(f"/images/{picture}").content == png
        drawn(server, **SMALL)


def test_a_server_that_has_drawn_and_is_told_to_end_leaves_nothing_undone(house: House) -> None:
    with served(house) as server:
        drawn(server, **SMALL)
    assert "in the middle of something" not in server.log.read_text("utf-8")


def test_one_damaged_row_of_the_ledger_costs_that_job_alone(house: House) -> None:
    with served(house) as server:
        server.post("/queue/pause")
        bad, good = (server.submit(prompt, **SMALL) for prompt in ("bad", "good"))
    with closing(sqlite3.connect(house.folder / "data/jobs.sqlite3")) as ledger, ledger:
        ledger.execute("UPDATE jobs SET state = 'flying' WHERE id = ?", (bad,))
    with served(house) as server:
        server.post("/queue/resume")
        assert server.ended(good)["status"] == "succeeded"
        listed = server.get("/jobs").json()
        assert ([job["id"] for job in listed["jobs"]], [job["id"] for job in listed["set_aside"]]) == ([good], [bad])
        assert "damaged" in error_of(server.get(f"/jobs/{bad}"), 404, "NOT_FOUND")["message"]
    assert f"{bad}: its row in the ledger is damaged" in server.log.read_text("utf-8")


FAILING = """
from contextlib import asynccontextmanager
from fastapi import APIRouter
from visioncraft import hookimpl

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no start")
    yield

@hookimpl
def visioncraft_routers():
    return [APIRouter(lifespan=lifespan)]
"""


def test_a_start_that_fails_is_no_success(house: House) -> None:
    house.install("visioncraft-failing-start", "failing_start", FAILING)
    house.tables["plugins"]["enabled"].append("failing_start")
    assert "no start" in refused(house)


def test_a_keys_file_that_is_damaged_is_named_and_left_alone(house: House) -> None:
    house.keys.write_text('{"leonardo-api": "half a', "utf-8")
    with served(house) as server:
        answer = server.post("/api-key", {"service": "leonardo-api", "api_key": "abcdefgh-1234"})
        assert "api_keys.json" in error_of(answer, 500, "INTERNAL_ERROR")["message"]
        assert "half a" not in answer.text
        assert house.keys.read_text("utf-8") == '{"leonardo-api": "half a'
        drawn(server, **SMALL)


def test_a_file_in_the_gallerys_place_stops_the_start_with_one_line(house: House) -> None:
    house.gallery.parent.mkdir()
    house.gallery.write_text("a file", "utf-8")
    one_line_naming(refused(house), house.gallery)
    assert house.gallery.read_text("utf-8") == "a file"


def test_a_folder_that_nobody_can_write_stops_the_start_with_one_line(house: House) -> None:
    house.tables["plugins.config.gallery_fs"] = {"root": "/proc/gallery"}
    said = refused(house)
    one_line_naming(said, Path("/proc/gallery"))
    assert "root to another folder" in said


def test_a_file_that_cannot_grow_is_503_and_the_next_request_is_served(house: House) -> None:
    house.prefix = ("sh", "-c", 'ulimit -f 400 && exec "$@"', "sh")  # 200 kB a file, for root as for anybody
    with served(house) as server:
        drawn(server, **SMALL)
        error = error_of(server.draw("noise", **LARGE), 503, "SERVICE_UNAVAILABLE")
        assert "cannot be written" in error["message"]
        assert server.pictures() == 1
        drawn(server, **SMALL)
        assert server.pictures() == 2
        files = sorted(path.suffix for path in house.gallery.rglob("*.*") if path.parent.name.isdigit())
        assert files == [".png", ".png"], "nothing half-written stays behind"


def test_a_full_disk_is_503_until_there_is_room_again(house: House) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk of his own; the test before this one stands in")
    house.gallery.mkdir(parents=True)
    house.tables["plugins.config.gallery_fs"] = {"min_free_mb": 0}
    mount = f'mount -t tmpfs -o size=2m tmpfs "{house.gallery}" && exec "$@"'
    house.prefix = ("unshare", "-rm", "sh", "-c", mount, "sh")
    with served(house) as server:
        kept, waiting = fill(server)
        assert server.pictures() == len(kept)
        assert server.get("/status").status_code == server.get(f"/images/{kept[0]}").status_code == 200
        assert server.delete(f"/images/{kept[0]}").status_code == 204
        assert server.ended(waiting)["status"] == "succeeded", "the picture that found no room was not drawn in vain"
        assert server.pictures() == len(kept)
        for picture in kept[1:]:
            assert server.delete(f"/images/{picture}").status_code == 204
        drawn(server, **LARGE)


def fill(server: Server) -> tuple[list[str], str]:
    """Draw until the disk is full, which is told as it should; answers the pictures kept, and the job that waits."""
    kept = []
    while (answer := server.draw("noise", **LARGE)).status_code == 200:
        kept.append(answer.headers["x-image-id"])
    error = error_of(answer, 503, "SERVICE_UNAVAILABLE")
    assert "No space left" in error["message"]
    return kept, error["details"]["job"]


def test_a_picture_that_was_edited_and_accepted_is_sent_to_who_has_the_old_one(house: House) -> None:
    with served(house) as server:
        picture, other = (server.draw(prompt, **SMALL).headers["x-image-id"] for prompt in ("red apple", "pear"))
        paths = [f"/images/{picture}", f"/images/{picture}/thumbnail"]
        before = [server.get(path) for path in paths]
        (file,) = house.gallery.rglob(server.get("/gallery?image_data=false&q=apple").json()["images"][0]["filename"])
        record = read_record_file(file)
        assert record is not None
        edited = with_record(encode_png(np.zeros((64, 64, 3), np.uint8)), record)
        file.write_bytes(edited)
        assert house.command("gallery", "check", "--accept").returncode == 0
        for path, old in zip(paths, before, strict=True):
            new = server.get(path, headers={"If-None-Match": old.headers["etag"]})
            assert new.status_code == 200 and new.content != old.content
            assert server.get(path, headers={"If-None-Match": new.headers["etag"]}).status_code == 304
        assert server.get(paths[0]).content == edited
        assert server.get(f"/images/{other}").status_code == 200

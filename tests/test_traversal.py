"""Hundreds of ids and file names that try to lead out of the gallery: no file is touched outside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import ROOT, Server, envelope_of
from traversals import targets, traversals

CANARY = "the canary outside the gallery"
SOAK = bool(os.environ.get("VISIONCRAFT_SOAK"))
"""Whether every id is tried in every way; the short form reads it, and tries one other way with each in turn."""
WAYS = (("GET", ""), ("GET", "/thumbnail"), ("DELETE", ""), ("PATCH", ""), ("POST", "/replay"))
WATCHED = ROOT / "plugins" / "gallery_fs" / "tests" / "scripts" / "watched.py"


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file but the server's log."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "server.log")
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files if "sqlite3" not in path.name}


def test_five_hundred_hostile_ids_find_and_change_nothing_over_http(fake: Server) -> None:
    kept = fake.draw("kept", width=64, height=64).headers["x-image-id"]
    for place in (fake.house.folder, fake.house.gallery.parent, fake.house.gallery):
        (place / "canary.txt").write_text(CANARY)
    hostile, before = targets(), everything(fake.house.folder)
    assert len(hostile) >= 500
    for number, target in enumerate(hostile):
        # Of ten that follow each other each has another target; the next ten are tried in other ways.
        for method, path in WAYS if SOAK else (WAYS[0], WAYS[1 + (number + number // 10) % 4]):
            body = b'{"rating": 5}' if method == "PATCH" else None
            headers = {"Content-Type": "application/json"} if body else {}
            status, content = fake.raw(method, f"/images/{target}{path}", body, headers)
            assert status in (400, 404, 405), (method, target, content)
            envelope_of(content)
            assert CANARY.encode() not in content and b"root:" not in content, target
    ids = fake.post("/images/delete", {"ids": hostile[:1000]}).json()
    assert ids["deleted"] == [] and set(ids["not_found"]) == set(hostile)
    assert everything(fake.house.folder) == before
    assert fake.delete(f"/images/{kept}").status_code == 204


def test_five_hundred_hostile_ids_and_names_touch_no_path_outside_the_gallery(tmp_path: Path) -> None:
    hostile = traversals()
    done = subprocess.run(
        [sys.executable, str(WATCHED), str(tmp_path / "gallery")],
        input=json.dumps(hostile),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"found": 0, "refused": 6 * len(hostile), "outside": [], "left": 1, "problems": []}

"""`visioncraft generate` and `gallery replay` beside a server: it draws, since it has the model in memory."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from harness import Server
from visioncraft import read_record
from visioncraft.runtime.running import announced, server_of
from visioncraft.testing.commands import PIPE


def generate(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return server.house.command("generate", *arguments)


def test_the_server_with_this_data_folder_draws(fake: Server) -> None:
    before, file = fake.pictures(), fake.house.folder / "apple.png"
    done = generate(fake, "a red apple", "--seed", "7", "-o", "apple.png")
    assert done.returncode == 0, done.stderr
    assert f"The server at {fake.url} draws" in done.stderr
    assert done.stdout.startswith("apple.png: drawn by fake") and "seed 7" in done.stdout
    newest = fake.get("/gallery?limit=1&image_data=false").json()["images"][0]["id"]
    assert file.read_bytes() == fake.get(f"/images/{newest}").content
    assert fake.pictures() == before + 1


def test_several_pictures_have_numbered_files(fake: Server) -> None:
    done = generate(fake, "two apples", "--num-images", "2", "--seed", "5", "-o", "two.png")
    assert done.returncode == 0, done.stderr
    records = [read_record((fake.house.folder / name).read_bytes()) for name in ("two-1.png", "two-2.png")]
    assert [record and record.seed for record in records] == [5, 6]


def test_a_refusal_of_the_server_names_the_option(fake: Server) -> None:
    done = generate(fake, "apple", "--steps", "900")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "Error: Invalid --steps; 15 to 50 for fake")
    unknown = generate(fake, "apple", "--model", "no-such-model").stderr
    assert "no-such-model" in unknown and "available: fake" in unknown


def test_ctrl_c_cancels_the_servers_job(fake: Server) -> None:
    process = fake.house.begin("generate", "gated interrupted-there", "--steps", "15", stderr=PIPE)
    fake.permit("interrupted-there", 1)
    fake.reached("interrupted-there", 1)
    (job,) = [each for each in fake.get("/jobs").json()["jobs"] if "interrupted-there" in each["parameters"]["prompt"]]
    process.send_signal(signal.SIGINT)
    while fake.get(f"/jobs/{job['id']}").json()["stage"] not in ("cancelling", "cancelled"):
        pass
    fake.permit("interrupted-there", 14)
    _, said = process.communicate()
    assert process.returncode == 130 and "Cancelled" in said
    fake.until(job["id"], "cancelled")


def test_a_replay_is_drawn_there_too(fake: Server) -> None:
    picture = fake.draw("drawn again", seed=11).headers["x-image-id"]
    done = fake.house.command("gallery", "replay", picture)
    assert done.returncode == 0, done.stderr
    assert "seed 11" in done.stdout
    assert [job["parameters"]["prompt"] for job in fake.get("/jobs?limit=2").json()["jobs"]] == ["drawn again"] * 2


def test_a_server_that_is_gone_is_not_asked(tmp_path: Path) -> None:
    """A killed one leaves its file, whose process number may be another program's by now."""
    program = (
        "import sys, pathlib; from visioncraft.runtime.running import announced; context = "
        "announced(pathlib.Path(sys.argv[1]), 'http://127.0.0.1:9'); context.__enter__(); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert server_of(tmp_path) == "http://127.0.0.1:9"
        process.kill()
    assert (tmp_path / "server.json").exists()
    assert server_of(tmp_path) is None
    for damage in ("", "[", "[" * 100_000, '{"url": "x"}', '{"url": 1, "pid": "no", "started": 1}'):
        (tmp_path / "server.json").write_text(damage)
        assert server_of(tmp_path) is None
    with announced(tmp_path / "absent", "http://127.0.0.1:9"):
        assert server_of(tmp_path / "absent") is None

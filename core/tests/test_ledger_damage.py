"""A ledger that somebody or something damaged: what is whole is served, what is not is named and kept for people."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from stepping import Coroutine, play, running, submit
from visioncraft.errors import ConfigurationError, NotFound
from visioncraft.jobs.job import JobState
from visioncraft.jobs.ledger.sqlite import SqliteLedger

LEFT = 3


def leave(folder: Path) -> list[str]:
    """A server draws one job and leaves others waiting, and a failed one; answers all ids, the drawn one first."""
    ids: list[str] = []

    async def scene() -> None:
        async with running(Coroutine(), folder) as runtime:
            drawn = await submit(runtime, "drawn", steps=1)
            await drawn.wait()
            await runtime.jobs.pause()
            waiting = [await submit(runtime, f"p{number}", steps=1) for number in range(LEFT)]
            ids.extend(job.id for job in (drawn, *waiting))

    play(scene)
    return ids


def change(folder: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "jobs.sqlite3")) as connection, connection:
        connection.execute(sql, values)


def asked_for(folder: Path, job_id: str) -> dict[str, object]:
    with closing(sqlite3.connect(folder / "jobs.sqlite3")) as connection:
        ((request,),) = connection.execute("SELECT request FROM jobs WHERE id = ?", (job_id,)).fetchall()
    found: dict[str, object] = json.loads(request)
    return found


QUEUED = {
    "half a request": ("request", b'{"prompt": 5'),
    "a request of another shape": ("request", b"[]"),
    "a request of brackets": ("request", b"[" * 100_000),
    "a request that is a number": ("request", 7),
    "an unknown state": ("state", "flying"),
    "a state that is no text": ("state", b"\xff\xfe"),
    "a client that is no UTF-8": ("client", b"\xff\xfe"),
    "a time past all calendars": ("created_at", 1e300),
    "a time that is a word": ("created_at", "yesterday"),
    "a picture's id that is a path": ("image_id", "../../etc/passwd"),
    "warnings that are none": ("warnings", b'{"a": 1}'),
}
ENDED = {
    "a record that is none": ("record", b'{"id": 5}'),
    "no record": ("record", None),
    "an error of another shape": ("error", b"[1]"),
    "an error without its facts": ("error", b'{"kind": "RateLimitExceeded", "message": "m", "details": {}}'),
    "an end at no time": ("ended_at", None),
}


@pytest.mark.parametrize(("column", "value"), (QUEUED | ENDED).values(), ids=(QUEUED | ENDED).keys())
def test_a_damaged_row_is_set_aside_and_named_and_the_others_are_drawn(
    column: str, value: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawn, *waiting = leave(tmp_path)
    bad = waiting[1] if (column, value) in QUEUED.values() else drawn
    change(tmp_path, f"UPDATE jobs SET {column} = ? WHERE id = ?", value, bad)  # noqa: S608 - a column's name

    async def scene() -> None:
        generator = Coroutine()
        async with running(generator, tmp_path) as runtime:
            await runtime.jobs.resume()
            good = [await runtime.jobs.get(each) for each in waiting if each != bad]
            for job in good:
                await job.wait()
            listed = {job.id: job.state for job in await runtime.jobs.latest(50)}
            assert listed == dict.fromkeys({drawn, *waiting} - {bad}, JobState.SUCCEEDED)
            assert [each.id for each in await runtime.jobs.set_aside(50)] == [bad]
            with pytest.raises(NotFound, match=r"damaged: .*; it is kept in the table set_aside, send the job again"):
                await runtime.jobs.get(bad)
            assert await runtime.jobs.latest(50, JobState.FAILED) == []

    play(scene)
    assert sum(bad in record.getMessage() for record in caplog.records) == 1
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        kept = connection.execute(f"SELECT {column} FROM set_aside WHERE id = ?", (bad,))  # noqa: S608 - likewise
        assert kept.fetchall() == [(value,)]


def test_a_request_for_a_thousand_million_pictures_is_no_job(tmp_path: Path) -> None:
    waiting = leave(tmp_path)[1:]
    absurd = json.dumps(asked_for(tmp_path, waiting[0]) | {"num_images": 10**9}).encode()
    change(
        tmp_path,
        "UPDATE jobs SET request = ?, image_id = 'img_01kb0v7m3qj4x5n6p7r8s9t0ab' WHERE id = ?",
        absurd,
        waiting[0],
    )

    async def scene() -> None:
        async with running(Coroutine(), tmp_path) as runtime:
            assert [job.id for job in runtime.jobs.live()] == waiting[1:]

    play(scene)


def flipped(file: Path, chance: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(40):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def emptied(file: Path, _: random.Random) -> None:
    file.write_bytes(b"")


def halved(file: Path, _: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def replaced(file: Path, _: random.Random) -> None:
    file.write_bytes(b"This is no database, but a letter.\n" * 200)


def removed(file: Path, _: random.Random) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [flipped, emptied, halved, replaced, removed])
@pytest.mark.parametrize("seed", range(3))
def test_a_ledger_damaged_as_a_whole_loses_no_job_in_silence(
    damage: Callable[[Path, random.Random], None], seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "jobs.sqlite3"
    waiting = leave(tmp_path)[1:]
    damage(file, random.Random(seed))

    async def scene() -> None:
        async with running(Coroutine(), tmp_path) as runtime:
            known = {job.id for job in await runtime.jobs.latest(500)}
            told = {each.id for each in await runtime.jobs.set_aside(500)}
            for lost in set(waiting) - known:
                assert lost in caplog.text and lost in told
                with pytest.raises(NotFound, match=r"accepted|damaged"):
                    await runtime.jobs.get(lost)
            await runtime.jobs.resume()
            again = await submit(runtime, "again", steps=1)
            await again.wait()
            assert again.state is JobState.SUCCEEDED

    play(scene)


def test_of_a_damaged_ledger_every_job_that_can_be_read_goes_on_and_the_file_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = leave(tmp_path)[1:]
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_state'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray((tmp_path / "jobs.sqlite3").read_bytes())
    data[(page - 1) * size : page * size] = b"\xaa" * size
    (tmp_path / "jobs.sqlite3").write_bytes(data)

    async def scene() -> None:
        async with running(Coroutine(), tmp_path) as runtime:
            await runtime.jobs.resume()
            for each in waiting:
                job = await runtime.jobs.get(each)
                await job.wait()
                assert job.state is JobState.SUCCEEDED

    play(scene)
    (aside,) = (each for each in tmp_path.glob("jobs.sqlite3.damaged-*") if each.suffix.count("-") == 3)
    assert aside.read_bytes() == bytes(data)
    assert f"is kept as {aside.name}, and the {LEFT + 1} jobs" in caplog.text


@pytest.mark.parametrize(
    ("sql", "because"),
    [
        ("CREATE TABLE jobs (company TEXT, salary REAL)", "no ledger of VisionCraft's: its table 'jobs' has no id, "),
        ("CREATE TABLE songs (title TEXT)", "no ledger of VisionCraft's, it has the tables songs; move it away, or"),
        ("PRAGMA user_version = 7", r"a later VisionCraft wrote it \(its layout is 7, this one knows 1\)"),
    ],
)
def test_a_database_that_is_not_this_versions_stops_the_start_untouched(sql: str, because: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    change(tmp_path, sql)
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=because):
        SqliteLedger(file)
    assert file.read_bytes() == before


def test_a_folder_in_the_ledgers_place_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite3").mkdir()
    with pytest.raises(ConfigurationError, match="is no ordinary file; move it away"):
        SqliteLedger(tmp_path / "jobs.sqlite3")


def test_a_second_server_is_refused_though_somebody_removed_the_lock_file_or_the_ledger(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(Coroutine(), tmp_path):
            for name in ("jobs.sqlite3.lock", "jobs.sqlite3"):
                (tmp_path / name).unlink()
                with pytest.raises(ConfigurationError, match="another server uses"):
                    SqliteLedger(tmp_path / "jobs.sqlite3")

    play(scene)
    leave(tmp_path)


def test_a_folder_that_takes_no_file_is_not_taken_for_another_servers() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be written: .*; choose another data_dir"):
        SqliteLedger(Path("/proc/1/jobs.sqlite3"))

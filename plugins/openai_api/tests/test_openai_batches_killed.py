"""A batch whose server is killed: every line is drawn once, and is answered once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from batching import answers, begin, line, until
from harness import served
from openai import OpenAI
from openai_house import openai_house
from visioncraft import JobView, Service
from visioncraft.testing import MemoryStore, a_picture
from visioncraft_openai_api.batch.drawing import forgotten
from visioncraft_openai_api.batch.lines import Line
from visioncraft_openai_api.batch.outputs import append


def test_a_batch_goes_on_after_a_kill_and_draws_no_line_twice(tmp_path: Path) -> None:
    house = openai_house(tmp_path)
    lines = [line(str(number), "gated kill", seed=number) for number in range(5)]
    with served(house) as server, OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
        batch = begin(client, lines)
        server.permit("kill", 2)
        server.reached("kill", 2)
        server.process.kill()
        server.process.wait()
    with served(house) as server, OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
        server.permit("kill", 100)
        batch = until(client, batch, "completed")
        found = answers(client, batch.output_file_id)
        assert set(found) == {each["custom_id"] for each in lines} and batch.error_file_id is None
        seeds = {name: each["response"]["body"]["data"][0]["seed"] for name, each in found.items()}
        assert seeds == {str(number): number for number in range(5)}
        assert server.pictures() == 5


def test_a_job_that_the_server_has_forgotten_is_known_by_its_images() -> None:
    store, (record, png) = MemoryStore(), a_picture()
    record = replace(record, facts={**record.facts, "job": "job_1"})
    store.save(record, png)
    service = cast(Service, SimpleNamespace(store=store))

    def known(job: str) -> JobView | None:
        line = Line(1, "one", "", 0, 1, job=job, sent_at=record.created_at.timestamp())
        return asyncio.run(forgotten(service, line))

    found = known("job_1")
    assert found is not None and found.images == (record,) and found.ended
    assert known("job_2") is None


def test_what_a_killed_server_wrote_past_what_is_known_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "output"
    size = append(file, 0, [b"first\n"])
    append(file, size, [b"half of the sec"])
    assert append(file, size, [b"second\n"]) == len(file.read_bytes()) and file.read_bytes() == b"first\nsecond\n"
    assert file.stat().st_mode & 0o777 == 0o600

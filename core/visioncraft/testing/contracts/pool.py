"""What the core relies on in every pool, as tests to inherit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from visioncraft.errors import GenerationFailed, InsufficientVRAM, JobCancelled
from visioncraft.testing.contracts.base import Contract
from visioncraft.testing.pool_engine import FOLDER, MODEL, NAME, PoolEngine
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.workers.pool import HostedGenerator, WorkerPool

MakePool = Callable[[Mapping[str, HostedGenerator]], WorkerPool]
Scene = Callable[[WorkerPool], Awaitable[None]]
Play = Callable[[Scene], None]

_PATIENCE_S = 120


class ProgressNotes:
    """A `Progress` that notes what it is told, and lets a test wait for it."""

    cancelled = False

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._moved = asyncio.Event()

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Note a step."""
        self.told.append((step, total, preview))
        self._moved.set()

    def stage(self, name: str) -> None:
        """Note a stage."""
        self.told.append(name)
        self._moved.set()

    async def wait_for(self, count: int) -> None:
        """Until so many things were told."""
        while len(self.told) < count:
            self._moved.clear()
            await self._moved.wait()


async def draw(pool: WorkerPool, prompt: str, progress: Any = None, job_id: str = "job_1") -> GeneratedImage:
    """One image of the contract's generator."""
    request = GenerationRequest(prompt=prompt, model=MODEL, seed=2**63 - 1, job_id=job_id)
    return await pool.run(NAME, request, progress or ProgressNotes())


class WorkerPoolContract(Contract):
    """Inherit, and give the fixture `make_pool`: it makes a pool for the generators it is handed.

    The one generator is `visioncraft.testing.pool_engine`'s, installed as a plugin's for processes that are started.

    >>> import pytest
    >>> class TestMine(WorkerPoolContract):
    ...     @pytest.fixture
    ...     def make_pool(self):
    ...         return MyPool
    """

    @pytest.fixture
    def play(self, make_pool: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
        """Runs a scene with a pool, and closes it."""
        info = tmp_path / "pool_engine-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pool-engine\nVersion: 1\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[visioncraft]\n{NAME} = visioncraft.testing.pool_engine\n", "utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv(FOLDER, str(tmp_path))

        async def whole(scene: Scene) -> None:
            pool = make_pool({NAME: HostedGenerator(NAME, PoolEngine())})
            try:
                await scene(pool)
            finally:
                await pool.close()

        return lambda scene: asyncio.run(asyncio.wait_for(whole(scene), _PATIENCE_S))

    def test_an_image_comes_back_whole_and_its_progress_is_told_in_order(self, play: Play) -> None:
        """Text and numbers of any size cross whatever lies between."""

        async def scene(pool: WorkerPool) -> None:
            notes = ProgressNotes()
            image = await draw(pool, "schön 🌄", notes)
            assert (image.png, image.width, image.seed) == (b"png", 8, 2**63 - 1)
            assert (image.facts["job"], image.facts["prompt"]) == ("job_1", "schön 🌄")
            await notes.wait_for(4)
            assert notes.told == ["drawing", (1, 3, None), (2, 3, b"preview"), (3, 3, None)]

        play(scene)

    def test_a_loaded_model_shows_in_the_status(self, play: Play) -> None:
        """A generator that was not heard of yet is asked."""

        async def scene(pool: WorkerPool) -> None:
            assert list((await pool.status(NAME)).loaded_models) == []
            await pool.load(NAME, MODEL, ProgressNotes())
            assert list((await pool.status(NAME)).loaded_models) == [MODEL.id]

        play(scene)

    def test_errors_come_back_as_they_were_raised(self, play: Play) -> None:
        """And the next image is drawn as if nothing had been."""

        async def scene(pool: WorkerPool) -> None:
            with pytest.raises(InsufficientVRAM) as raised:
                await draw(pool, "vram")
            assert (raised.value.vram_available, raised.value.vram_required) == (1.0, 2.0)
            with pytest.raises(GenerationFailed, match="NoneType"):
                await draw(pool, "nothing")
            assert (await draw(pool, "good")).png == b"png"

        play(scene)

    def test_as_many_run_at_once_as_its_capacity_says(self, play: Play) -> None:
        """Two images that wait for each other are both drawn."""

        async def scene(pool: WorkerPool) -> None:
            assert pool.capacity(NAME) >= 2
            both = await asyncio.gather(*(draw(pool, "meet", job_id=f"job_{number}") for number in range(2)))
            assert [image.facts["job"] for image in both] == ["job_0", "job_1"]

        play(scene)

    def test_a_cancelled_task_ends_when_the_work_has_stopped_and_the_next_is_served(self, play: Play) -> None:
        """The place of the cancelled work is free again."""

        async def scene(pool: WorkerPool) -> None:
            notes = ProgressNotes()
            task = asyncio.create_task(draw(pool, "for ever", notes))
            await notes.wait_for(1)
            task.cancel()
            with pytest.raises((asyncio.CancelledError, JobCancelled)):
                await task
            assert (await draw(pool, "next", job_id="job_2")).png == b"png"

        play(scene)

    def test_closing_closes_the_generator_where_it_ran(self, play: Play, tmp_path: Path) -> None:
        """In the same process."""
        pids: list[int] = []

        async def scene(pool: WorkerPool) -> None:
            pids.append((await draw(pool, "good")).facts["pid"])

        play(scene)
        assert int((tmp_path / "closed").read_text("ascii")) == pids[0]

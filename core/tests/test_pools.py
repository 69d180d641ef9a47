"""What every pool promises, held for both: worker processes, and this process."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from visioncraft.errors import GenerationFailed, InsufficientVRAM, JobCancelled, PluginError, WorkerLost
from visioncraft.jobs.progress import NoProgress
from visioncraft.settings import Settings
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.workers.in_process_pool import InProcessPool
from visioncraft.workers.pool import WorkerPool
from visioncraft.workers.process_pool import Home, ProcessPool

ENGINE = """
import os, sys, threading
from pathlib import Path
from visioncraft import BackendStatus, GeneratedImage, Generator, InsufficientVRAM, ModelInfo, hookimpl
from visioncraft.testing import PATIENCE_S

class Engine(Generator):
    name = "pool_engine"
    concurrency = 2
    loaded = ()
    meeting = threading.Barrier(2)

    def models(self):
        return [ModelInfo(id="pool-model", name="Pool model", engine=self.name)]

    def load(self, model, progress):
        progress.stage("loading")
        self.loaded = (model.id,)

    def status(self):
        return BackendStatus(self.name, self.loaded, facts={"pid": os.getpid()})

    def run(self, request, progress):
        if request.prompt == "vram":
            raise InsufficientVRAM(1.0, 2.0)
        if request.prompt == "crash":
            raise RuntimeError("a secret path")
        if request.prompt == "nothing":
            return None
        if request.prompt == "die":
            os._exit(7)
        if request.prompt == "meet":
            self.meeting.wait(PATIENCE_S)
        progress.stage("drawing")
        for step in range(1, 10**9 if request.prompt == "for ever" else 4):
            progress.step(step, 3, b"preview" if step == 2 else None)
        facts = {"pid": os.getpid(), "job": request.job_id, "prompt": request.prompt}
        return GeneratedImage(b"png", 8, 8, request.seed, facts=facts)

    def close(self):
        folder = os.environ.get("POOL_ENGINE_FOLDER")
        Path(folder, "closed").write_text(str(os.getpid()))

@hookimpl
def visioncraft_generators():
    return [Engine()]
"""
MODEL = ModelInfo(id="pool-model", name="Pool model", engine="pool_engine")
KINDS = ("processes", "in process")
Scene = Callable[[WorkerPool], Awaitable[None]]
Play = Callable[[str, Scene], None]


class Notes:
    """A `Progress` that notes what it is told, and when."""

    cancelled = False

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.moved = asyncio.Event()

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        self.told.append((step, total, preview))
        self.moved.set()

    def stage(self, name: str) -> None:
        self.told.append(name)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Runs a scene with a pool of either kind, whose one generator is an installed plugin's."""
    (tmp_path / "pool_engine.py").write_text(ENGINE, "utf-8")
    info = tmp_path / "pool_engine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pool-engine\nVersion: 1\n", "utf-8")
    (info / "entry_points.txt").write_text("[visioncraft]\npool_engine = pool_engine\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("POOL_ENGINE_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    engine = importlib.import_module("pool_engine").Engine()

    def run(kind: str, scene: Scene) -> None:
        async def whole() -> None:
            here = InProcessPool({"pool_engine": engine})
            pool = (
                here if kind == "in process" else ProcessPool({"pool_engine": Home("pool_engine", engine)}, Settings())
            )
            try:
                await scene(pool)
            finally:
                await pool.close()

        asyncio.run(asyncio.wait_for(whole(), 120))

    yield run
    sys.modules.pop("pool_engine", None)


def asked(prompt: str, job_id: str = "job_1") -> GenerationRequest:
    return GenerationRequest(prompt=prompt, model=MODEL, seed=2**63 - 1, job_id=job_id)


async def drawn(pool: WorkerPool, prompt: str, progress: Any = None, job_id: str = "job_1") -> GeneratedImage:
    return await pool.run("pool_engine", asked(prompt, job_id), progress or NoProgress())


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_comes_back_whole_and_its_progress_is_told_in_order(play: Play, kind: str) -> None:
    async def scene(pool: WorkerPool) -> None:
        notes = Notes()
        image = await drawn(pool, "schön 🌄", notes)
        assert (image.png, image.width, image.seed) == (b"png", 8, 2**63 - 1)
        assert (image.facts["job"], image.facts["prompt"]) == ("job_1", "schön 🌄")
        await asyncio.sleep(0)
        assert notes.told == ["drawing", (1, 3, None), (2, 3, b"preview"), (3, 3, None)]

    play(kind, scene)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_shows_in_the_status(play: Play, kind: str) -> None:
    async def scene(pool: WorkerPool) -> None:
        assert list((await pool.status("pool_engine")).loaded_models) == []
        await pool.load("pool_engine", MODEL, NoProgress())
        assert list((await pool.status("pool_engine")).loaded_models) == ["pool-model"]

    play(kind, scene)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_back_as_they_were_raised(play: Play, kind: str) -> None:
    async def scene(pool: WorkerPool) -> None:
        with pytest.raises(InsufficientVRAM) as raised:
            await drawn(pool, "vram")
        assert (raised.value.vram_available, raised.value.vram_required) == (1.0, 2.0)
        with pytest.raises(GenerationFailed, match="NoneType"):
            await drawn(pool, "nothing")
        assert (await drawn(pool, "good")).png == b"png"

    play(kind, scene)


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_run_at_once_as_the_generator_takes(play: Play, kind: str) -> None:
    async def scene(pool: WorkerPool) -> None:
        both = await asyncio.gather(*(drawn(pool, "meet", job_id=f"job_{number}") for number in range(2)))
        assert [image.facts["job"] for image in both] == ["job_0", "job_1"]

    play(kind, scene)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_task_ends_when_the_work_has_stopped_and_the_next_is_served(play: Play, kind: str) -> None:
    async def scene(pool: WorkerPool) -> None:
        notes = Notes()
        task = asyncio.create_task(drawn(pool, "for ever", notes))
        await notes.moved.wait()
        task.cancel()
        with pytest.raises((asyncio.CancelledError, JobCancelled)):
            await task
        assert (await drawn(pool, "next", job_id="job_2")).png == b"png"

    play(kind, scene)


@pytest.mark.parametrize("kind", KINDS)
def test_closing_closes_the_generator_where_it_ran(play: Play, kind: str, tmp_path: Path) -> None:
    pids: list[int] = []

    async def scene(pool: WorkerPool) -> None:
        pids.append((await drawn(pool, "good")).facts["pid"])

    play(kind, scene)
    assert int((tmp_path / "closed").read_text("utf-8")) == pids[0]


def test_a_process_keeps_its_secrets_and_its_end_is_told_apart(play: Play) -> None:
    async def scene(pool: WorkerPool) -> None:
        with pytest.raises(GenerationFailed) as raised:
            await drawn(pool, "crash")
        assert "secret" not in str(raised.value)
        with pytest.raises(WorkerLost, match="exit code 7"):
            await drawn(pool, "die")
        assert (await drawn(pool, "good")).png == b"png"

    play("processes", scene)


def test_a_plugin_that_does_not_load_in_its_worker_says_why(play: Play, tmp_path: Path) -> None:
    async def scene(pool: WorkerPool) -> None:
        (tmp_path / "pool_engine.py").write_text("import no_such_library", "utf-8")
        with pytest.raises(PluginError, match="no_such_library"):
            await drawn(pool, "good")

    play("processes", scene)

"""The contracts that plugin authors inherit: the fakes keep them, and each breach fails the test that names it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import GeneratedImage, Generator, ModelInfo, hookimpl
from visioncraft.gallery.memory import MemoryStore
from visioncraft.testing import FakeGenerator, GeneratorContract, overridden

pytest_plugins = ["pytester"]

PREAMBLE = """
import asyncio
import numpy as np
import pytest
from dataclasses import replace
from visioncraft import BackendStatus, JobCancelled, Limits, Marks, NotFound, StorageError, encode_png
from visioncraft.testing import FakeGenerator, GeneratorContract, ImageStoreContract, MemoryStore, Recorder, overridden
"""
GENERATOR = (
    PREAMBLE
    + """
class Broken(FakeGenerator):
{body}

class TestBroken(GeneratorContract):
    @pytest.fixture
    def generator(self):
        return Broken()
"""
)
STORE = (
    PREAMBLE
    + """
class Broken(MemoryStore):
{body}

class TestBroken(ImageStoreContract):
    @pytest.fixture
    def make_store(self):
        kept = Broken()
        return lambda: kept
"""
)
GENERATOR_BREACHES = {
    "name = 'No Name'": "its_name_and_concurrency",
    "concurrency = 0": "its_name_and_concurrency",
    "def models(self): return [*super().models(), *super().models()]": "its_models_are_its_own",
    "def models(self): return [replace(super().models()[0], engine='other')]": "its_models_are_its_own",
    "def models(self): return [*super().models(), replace(super().models()[0], id='b', available=False)]": (
        "its_models_are_its_own"
    ),
    "def models(self): return [replace(super().models()[0], limits=Limits(steps=(9, 3)))]": "its_limits_can_be_kept",
    "def run(self, request, progress): return super().run(replace(request, width=8), progress)": (
        "it_draws_the_picture_that_was_asked_for"
    ),
    "def run(self, request, progress): return replace(super().run(request, progress), seed=0)": (
        "it_draws_the_picture_that_was_asked_for"
    ),
    "def run(self, request, progress): return super().run(request, progress).png": (
        "it_draws_the_picture_that_was_asked_for"
    ),
    "def run(self, request, progress): return replace(super().run(request, progress), facts={'at': object()})": (
        "what_it_says_of_a_picture_is_plain_data"
    ),
    "n = 0\n    def run(self, request, progress):\n"
    "        self.n += 1\n        return super().run(replace(request, seed=self.n), progress)": (
        "a_seed_draws_the_same_picture_again"
    ),
    "def run(self, request, progress): return super().run(replace(request, seed=3), progress)": (
        "another_seed_draws_another_picture"
    ),
    "def run(self, request, progress):\n"
    "        request.prompt.encode('ascii')\n        return super().run(request, progress)": "any_prompt_is_drawn",
    "def run(self, request, progress): return super().run(request, Recorder())": "it_tells_where_it_is",
    "def run(self, request, progress):\n"
    "        try:\n            return super().run(request, progress)\n"
    "        except JobCancelled:\n            return super().run(request, Recorder())": (
        "a_cancelled_job_stops_within_a_step"
    ),
    "stopped = 0\n    def run(self, request, progress):\n"
    "        try:\n            return super().run(replace(request, seed=request.seed + self.stopped), progress)\n"
    "        except JobCancelled:\n            self.stopped = 1\n            raise": (
        "after_a_cancelled_job_it_draws_as_before"
    ),
    "concurrency = 3\n    def run(self, request, progress):\n"
    "        import threading\n        apart = threading.current_thread() is not threading.main_thread()\n"
    "        return super().run(replace(request, seed=request.seed + 99 * apart), progress)": "several_at_once",
    "loads = 0\n    def load(self, model, progress):\n"
    "        self.loads += 1\n        assert self.loads < 2, 'already loaded'": "a_model_may_be_loaded_and_unloaded",
    "async def load(self, model, progress): pass": "load_and_unload_are_of_the_same_kind_as_run",
    "def status(self): return BackendStatus('somebody else')": "its_status_is_plain_data",
    "closed = 0\n    def close(self):\n"
    "        self.closed += 1\n        assert self.closed < 2, 'closed before'": "it_may_be_closed_twice",
}
STORE_BREACHES = {
    "def open(self, image_id): return super().open(image_id)[:-1]": "a_picture_comes_back_byte_for_byte",
    "def close(self): self._pictures.clear()": "a_store_opened_again_has_everything",
    "def save(self, record, png):\n"
    "        self._pictures.pop(record.id, None)\n        return super().save(record, png)": "an_id_is_taken_only_once",
    "def list(self, *given, **more):\n        page = super().list(*given, **more)\n"
    "        return replace(page, items=page.items[::-1])": "pages_are_newest_first",
    "def list(self, limit, offset=0, query=None, cursor=None):\n"
    "        from visioncraft import GalleryQuery\n"
    "        page = super().list(limit, offset + int(cursor or 0), query or GalleryQuery())\n"
    "        return replace(page, next_cursor=str(int(cursor or 0) + limit) if page.next_cursor else None)": (
        "a_walk_by_cursor"
    ),
    "def list(self, limit, offset=0, query=None, cursor=None):\n"
    "        from visioncraft import GalleryQuery\n"
    "        try:\n            return super().list(limit, offset, query or GalleryQuery(), cursor)\n"
    "        except Exception:\n            return super().list(limit, offset, query or GalleryQuery())": (
        "a_cursor_that_is_none_is_refused"
    ),
    "def list(self, limit, offset=0, query=None, cursor=None):\n"
    "        from visioncraft import GalleryQuery\n"
    "        return super().list(limit, offset, GalleryQuery(sort=query.sort if query else 'newest'), cursor)": (
        "a_query_finds_what_it_names"
    ),
    "def list(self, *given, **more):\n        page = super().list(*given, **more)\n"
    "        assert page.items, 'nothing found'\n        return page": "a_query_that_finds_nothing",
    "def delete(self, image_id): self.get(image_id)": "a_deleted_picture_is_gone",
    "def delete_many(self, ids): return [*super().delete_many(ids), 'one more']": "deleting_many_answers",
    "def thumbnail(self, image_id): return b'' if len(image_id) > 99 else super().thumbnail(image_id)": (
        "an_id_that_nobody_has"
    ),
    "def mark(self, image_id, marks): return super().mark(image_id, Marks(tags=marks.tags))": "marks_are_kept",
    "def thumbnail(self, image_id): return self.open(image_id)": "a_thumbnail_is_a_webp",
    "def check_room(self): raise StorageError('full')": "there_is_room_for_one_more",
    "closed = 0\n    def close(self):\n"
    "        self.closed += 1\n        assert self.closed < 2, 'closed before'": "it_may_be_closed_twice",
}


class TestFakeGenerator(GeneratorContract):
    """The fake that authors put beside their own store."""

    @pytest.fixture
    def generator(self) -> Generator:
        return FakeGenerator()


class Waiting(FakeGenerator):
    """The fake as a coroutine that tells stages, as one that waits for a network does."""

    concurrency = 3

    async def run(self, request: Any, progress: Any) -> GeneratedImage:  # type: ignore[override]
        progress.stage("waiting")
        return super().run(request, FakeProgress())

    async def load(self, model: ModelInfo, progress: Any) -> None:
        progress.stage("loading")


class FakeProgress:
    """A `Progress` that nobody hears."""

    cancelled = False

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        return

    def stage(self, name: str) -> None:
        return


class TestCoroutine(GeneratorContract):
    """A generator that waits keeps the same contract."""

    @pytest.fixture
    def generator(self) -> Generator:
        return Waiting()


@pytest.mark.parametrize(("body", "test"), GENERATOR_BREACHES.items(), ids=[*GENERATOR_BREACHES.values()])
def test_a_generator_that_breaks_the_contract_fails_the_test_that_says_so(
    pytester: pytest.Pytester, body: str, test: str
) -> None:
    assert test in failed(pytester, GENERATOR, body)


@pytest.mark.parametrize(("body", "test"), STORE_BREACHES.items(), ids=[*STORE_BREACHES.values()])
def test_a_store_that_breaks_the_contract_fails_the_test_that_says_so(
    pytester: pytest.Pytester, body: str, test: str
) -> None:
    assert test in failed(pytester, STORE, body)


def failed(pytester: pytest.Pytester, source: str, body: str) -> str:
    """The names of the tests that failed, and that others passed."""
    pytester.makepyfile(source.replace("{body}", f"    {body}"))
    outcome = pytester.inline_run("-p", "no:cacheprovider")
    passed, _, failures = outcome.listoutcomes()
    assert failures and passed, "the breach, and it alone, is found"
    return " ".join(report.nodeid for report in failures)


def test_without_a_breach_the_same_files_pass(pytester: pytest.Pytester) -> None:
    files = {"test_generator": GENERATOR, "test_store": STORE}
    pytester.makepyfile(**{name: source.replace("{body}", "    pass") for name, source in files.items()})
    outcome = pytester.inline_run("-p", "no:cacheprovider")
    assert [report.nodeid for report in outcome.listoutcomes()[2]] == []


@pytest.mark.parametrize("override", ["test_any_prompt_is_drawn = None", "def test_any_prompt_is_drawn(self): pass"])
def test_a_test_that_is_left_out_without_a_reason_is_refused(override: str) -> None:
    source = f"class TestMine(GeneratorContract):\n    {override}\n"
    with pytest.raises(TypeError, match=r"TestMine\.test_any_prompt_is_drawn .* without a reason: decorate it with"):
        exec(source, {"GeneratorContract": GeneratorContract, "__name__": "somewhere"})  # noqa: S102 - ours


def test_a_test_that_is_overridden_with_a_reason_is_accepted() -> None:
    class TestMine(GeneratorContract):
        test_any_prompt_is_drawn = overridden("it speaks ASCII only")(lambda self: None)  # type: ignore[assignment]

    assert "test_any_prompt_is_drawn" in vars(TestMine)
    with pytest.raises(ValueError, match="needs a reason"):
        overridden("  ")


class Mine:
    """A plugin object, as a module is one."""

    @hookimpl
    def visioncraft_generators(self) -> list[Generator]:
        return [FakeGenerator()]

    @hookimpl
    def visioncraft_stores(self) -> list[MemoryStore]:
        return [MemoryStore()]


def test_a_fresh_manager_holds_the_plugin_and_nothing_that_is_installed(
    visioncraft_manager: Callable[..., Any],
) -> None:
    manager = visioncraft_manager(Mine())
    assert list(manager.plugins) == ["memory", "mine"]
    assert manager.plugins["mine"].hooks == ["visioncraft_generators", "visioncraft_stores"]
    offered = manager.collect("visioncraft_generators")
    assert [(info.name, [each.name for each in entries]) for info, entries in offered] == [("mine", ["fake"])]


def test_the_client_draws_with_the_plugin_in_this_process(visioncraft_client: Callable[..., Any]) -> None:
    client = visioncraft_client(Mine(), jobs={"capacity": 3})
    drawn = client.post("/generate", json={"prompt": "an apple", "num_inference_steps": 2, "width": 8, "height": 8})
    assert (drawn.status_code, drawn.json()["model"]) == (200, "fake")
    assert client.get("/gallery").json()["total_count"] == 1


def test_the_server_is_a_process_on_a_socket_that_serves_what_it_is_told(
    visioncraft_server: Callable[..., Any],
) -> None:
    server = visioncraft_server("gallery_fs")
    states = {each["name"]: each["status"] for each in server.get("/plugins").json()}
    assert states.pop("gallery_fs") == states.pop("memory") == "active"
    assert set(states.values()) <= {"disabled"}


ASKS_A_CHILD = """
import os, signal, subprocess, sys
def test_a_child():
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)  # still nothing to this process
    ask = "import signal as s; print(s.SIG_IGN in [s.getsignal(n) for n in (s.SIGINT, s.SIGHUP, s.SIGTERM)])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout == "False\\n"
"""


def test_children_of_tests_know_signals_that_are_ignored_by_who_runs_the_tests(tmp_path: Path) -> None:
    (tmp_path / "test_child.py").write_text(ASKS_A_CHILD)

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, preexec_fn=ignore, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

"""The default model is loaded while the server waits, unless there is something better to do."""

from __future__ import annotations

import logging

import pytest
from stepping import Coroutine, Stepper, play, running, submit
from visioncraft.errors import InsufficientVRAM
from visioncraft.plugins.contracts import Progress
from visioncraft.runtime import warming
from visioncraft.runtime.warming import Warmer
from visioncraft.settings import WorkersSettings
from visioncraft.types.models import ModelInfo


class Loader(Stepper):
    """Says what it was asked to load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def load(self, model: ModelInfo, progress: Progress) -> None:
        if self.raises:
            raise self.raises.pop()
        self.loaded.append(model.id)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "_QUIET_S", 0.0)


def test_the_default_model_is_loaded_without_any_request() -> None:
    async def scene() -> None:
        async with running(loader := Loader()) as runtime:
            warmer = Warmer(runtime)
            warmer.start()
            assert warmer._loading is not None
            await warmer._loading
            assert loader.loaded == ["stepper"]

    play(scene)


@pytest.mark.parametrize(
    ("setting", "free_gb", "wanted"),
    [("auto", 100.0, True), ("auto", 1.0, False), ("on", 1.0, True), ("off", 100.0, False)],
)
def test_settings_and_free_memory_say_whether(
    monkeypatch: pytest.MonkeyPatch, setting: str, free_gb: float, wanted: bool
) -> None:
    async def scene() -> None:
        async with running(Loader()) as runtime:
            workers = WorkersSettings.model_validate({"warm": setting})
            runtime.settings = runtime.settings.model_copy(update={"workers": workers})
            assert (Warmer(runtime).wanted() is not None) == wanted

    monkeypatch.setattr(warming, "free_memory_gb", lambda: free_gb)
    play(scene)


def test_requests_that_are_there_already_come_first() -> None:
    async def scene() -> None:
        async with running(Loader()) as runtime:
            await submit(runtime, "first")
            assert Warmer(runtime).wanted() is None

    play(scene)


def test_what_waits_for_a_network_has_nothing_to_load() -> None:
    async def scene() -> None:
        async with running(Coroutine()) as runtime:
            assert Warmer(runtime).wanted() is None

    play(scene)


def test_a_model_that_cannot_be_loaded_ahead_is_told_and_nothing_else_happens(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        loader = Loader()
        loader.raises = [InsufficientVRAM(1.0, 2.0)]
        async with running(loader) as runtime:
            warmer = Warmer(runtime)
            warmer.start()
            assert warmer._loading is not None
            await warmer._loading

    with caplog.at_level(logging.WARNING):
        play(scene)
    assert "stepper could not be loaded ahead" in caplog.text


def test_a_server_that_ends_does_not_wait_for_it() -> None:
    async def scene() -> None:
        async with running(loader := Loader()) as runtime:
            warmer = Warmer(runtime)
            warmer.stop()
            warmer.start()
            warmer.stop()
            assert loader.loaded == []

    play(scene)

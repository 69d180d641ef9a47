"""A generator that keeps its models in memory, with models that are nothing but their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
from visioncraft import (
    GeneratedImage,
    GenerationFailed,
    GenerationRequest,
    InsufficientVRAM,
    ModelInfo,
    ModelNotAvailable,
    Progress,
)
from visioncraft.testing import Recorder
from visioncraft_diffusion.errors import ModelRefused
from visioncraft_diffusion.generator import CachedGenerator, main_memory_budget_gb


@dataclass
class Block:
    """A model in memory."""

    resident_gb: float
    closed: bool = False

    def close(self) -> None:
        self.closed = True


class Engine(CachedGenerator[Block]):
    """Draws with blocks of 1 GB, of which two fit."""

    name: ClassVar[str] = "blocks"

    def __init__(self) -> None:
        super().__init__()
        self.files = 1
        self.opened: list[Block] = []

    def models(self) -> Sequence[ModelInfo]:
        return [model("one"), model("two"), ModelInfo("bad", "Bad", "blocks", available=False)]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        raise GenerationFailed("draws nothing")

    def draw(self, name: str, error: Exception | None = None) -> Block:
        """Works with a model as `run` does."""

        def work(block: Block) -> Block:
            if error is not None:
                raise error
            return block

        with self._held(model(name), Recorder()) as block:
            return self._guarded(lambda: work(block), lambda: InsufficientVRAM(1.0, 2.0))

    def _open(self, model: ModelInfo, progress: Progress) -> Block:
        if model.id == "bad":
            raise ModelRefused("bad/unet is missing")
        if not self._make_room(lambda: self._cache.resident_gb() <= 1):
            raise InsufficientVRAM(0.0, 1.0)
        self.opened.append(Block(1.0))
        return self.opened[-1]

    def _version(self, model: ModelInfo) -> int:
        return self.files

    def _is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)


def model(name: str) -> ModelInfo:
    return ModelInfo(name, name, "blocks")


def loaded(engine: Engine) -> list[str]:
    return list(engine.status().loaded_models)


def test_a_model_is_loaded_once_and_leaves_when_it_is_unloaded() -> None:
    engine = Engine()
    engine.load(model("one"), Recorder())
    assert engine.draw("one") is engine.draw("one") is engine.opened[0]
    assert loaded(engine) == ["one"]
    assert engine.status().facts == {"memory_used_by_models": 1.0}
    engine.unload(model("one"))
    assert (loaded(engine), engine.opened[0].closed) == ([], True)


def test_a_model_whose_files_are_others_is_loaded_anew() -> None:
    engine = Engine()
    before = engine.draw("one")
    engine.files += 1
    assert engine.draw("one") is not before
    assert before.closed


def test_an_idle_model_leaves_for_another_and_one_that_draws_does_not() -> None:
    engine = Engine()
    for name in ("one", "two", "three"):
        engine.draw(name)
    assert loaded(engine) == ["three", "two"]
    held = [engine._held(model(name), Recorder()) for name in ("two", "three")]
    with held[0], held[1], pytest.raises(InsufficientVRAM):
        engine.draw("four")
    assert loaded(engine) == ["three", "two"]


def test_a_model_that_cannot_be_loaded_is_refused_with_those_that_can() -> None:
    with pytest.raises(ModelNotAvailable) as refused:
        Engine().load(model("bad"), Recorder())
    assert refused.value.details["suggestion"] == "bad/unet is missing"
    assert refused.value.available_models == ["one", "two"]


def test_where_memory_runs_out_idle_models_leave_and_it_is_said_as_that() -> None:
    engine = Engine()
    engine.draw("idle")
    with pytest.raises(InsufficientVRAM):
        engine.draw("one", MemoryError())
    assert loaded(engine) == ["one"]


def test_any_other_error_is_passed_on_and_no_model_leaves() -> None:
    engine = Engine()
    engine.draw("idle")
    with pytest.raises(ZeroDivisionError):
        engine.draw("one", ZeroDivisionError())
    assert loaded(engine) == ["one", "idle"]


def test_closing_gives_everything_back() -> None:
    engine = Engine()
    for name in ("one", "two"):
        engine.draw(name)
    engine.close()
    assert loaded(engine) == [] and all(block.closed for block in engine.opened)


def test_models_may_take_most_of_main_memory_unless_settings_say_otherwise() -> None:
    assert main_memory_budget_gb(1.5) == 1.5
    assert main_memory_budget_gb(0.0) > 0

"""What the core relies on in every generator, as tests to inherit."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from visioncraft.errors import JobCancelled
from visioncraft.images.png import decode_png
from visioncraft.jobs.requests import build_request
from visioncraft.plugins.contracts import Generator, checked
from visioncraft.testing.contracts.base import Contract
from visioncraft.testing.fakes import Recorder
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo, canonical_id
from visioncraft.types.status import BackendStatus
from visioncraft.workers.messages import Drawn, frame

Ask = Callable[..., GenerationRequest]
Draw = Callable[..., GeneratedImage]


class GeneratorContract(Contract):
    """Inherit, and give the fixture `generator`. Every test draws the smallest picture its model takes.

    >>> import pytest
    >>> from visioncraft.testing import FakeGenerator
    >>> class TestMine(GeneratorContract):
    ...     @pytest.fixture
    ...     def generator(self):
    ...         return FakeGenerator()

    Override the fixture `model` where the generator runs models that it does not list itself.
    """

    @pytest.fixture
    def tells_steps(self, generator: Generator) -> bool:
        """Whether `run` calls `progress.step`; one that only waits for a network tells stages instead."""
        return not inspect.iscoroutinefunction(generator.run)

    @pytest.fixture
    def model(self, generator: Generator) -> ModelInfo:
        """The model that draws: the first of its own that can."""
        can = [model for model in generator.models() if model.available]
        assert can, f"{generator.name} lists no model that can draw here: override the fixture `model`"
        return can[0]

    @pytest.fixture
    def ask(self, model: ModelInfo) -> Ask:
        """`ask(seed=3)`: the least that a request to the model may ask for, through the core's own checks."""
        limits = model.limits
        least: dict[str, Any] = {"num_inference_steps": limits.steps[0], "seed": 7}
        least |= {"guidance_scale": limits.guidance_scale[0]}
        if model.kind == "local":
            least |= {"width": limits.min_resolution[0], "height": limits.min_resolution[1]}
        return lambda prompt="a red apple", **asked: build_request(model, prompt, **{**least, **asked})

    @pytest.fixture
    def loop(self) -> Iterator[BlockingPortal]:
        """The one event loop of a test, as a server has one; in a thread, for a browser's tests keep one in this."""
        with start_blocking_portal() as portal:
            yield portal

    @pytest.fixture
    def draw(self, generator: Generator, loop: BlockingPortal) -> Draw:
        """`draw(request, progress)`: what `run` answers, be it a function or a coroutine."""

        def drawn(request: GenerationRequest, progress: Recorder | None = None) -> GeneratedImage:
            return checked(_call(loop, generator.run, request, progress or Recorder()), generator.name)

        return drawn

    def test_its_name_and_concurrency_can_be_used(self, generator: Generator) -> None:
        """A name in settings and addresses; at least one picture at a time."""
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", generator.name), f"{generator.name!r}: lower case, as a settings key"
        assert generator.concurrency >= 1

    def test_its_models_are_its_own_and_each_is_listed_once(self, generator: Generator) -> None:
        """A model names an engine that the generator runs; one that cannot draw says how it could."""
        models = list(generator.models())
        engines = {generator.name, *generator.engines}
        assert all(isinstance(model, ModelInfo) for model in models)
        assert [model.id for model in models if model.engine not in engines] == [], f"it runs only {engines}"
        ids = [canonical_id(model.id) for model in models]
        assert sorted(ids) == sorted(set(ids)), "ids that differ in case or in . and - only are one"
        assert [model.id for model in models if not model.available and not model.suggestion] == []

    def test_its_limits_can_be_kept(self, generator: Generator, model: ModelInfo) -> None:
        """The least is no more than the most, and both are sizes that can be asked for."""
        for each in [*generator.models(), model]:
            limits = each.limits
            for low, high in (limits.steps, limits.guidance_scale, *_sides(each)):
                assert 0 <= low <= high, each
            if each.kind == "local":
                assert all(side % limits.size_multiple == 0 for pair in _sides(each) for side in pair), each

    def test_it_draws_the_picture_that_was_asked_for(self, model: ModelInfo, ask: Ask, draw: Draw) -> None:
        """A PNG, 8 bits RGB, of the size it says; for a model on this machine, the size that was asked for."""
        wider = {"width": model.limits.min_resolution[0] + model.limits.size_multiple} if model.kind == "local" else {}
        request = ask(**wider)
        image = draw(request)
        pixels = decode_png(image.png)
        assert pixels.shape == (image.height, image.width, 3)
        assert image.seed == request.seed
        if model.kind == "local":
            assert (image.width, image.height) == (request.width, request.height)

    def test_what_it_says_of_a_picture_is_plain_data(self, ask: Ask, draw: Draw) -> None:
        """Facts stand in the file as JSON, and cross the border between processes."""
        image = draw(ask())
        json.dumps(dict(image.facts), allow_nan=False)
        assert frame(Drawn("call", image))

    def test_a_seed_draws_the_same_picture_again(self, ask: Ask, draw: Draw) -> None:
        """Pixel for pixel, on the same machine."""
        first, second = (decode_png(draw(ask(seed=2**31 - 11)).png) for _ in range(2))
        assert np.array_equal(first, second)

    def test_another_seed_draws_another_picture(self, ask: Ask, draw: Draw) -> None:
        """A seed that is ignored draws one picture for ever."""
        first, second = (decode_png(draw(ask(seed=seed)).png) for seed in (7, 8))
        assert not np.array_equal(first, second)

    def test_any_prompt_is_drawn(self, ask: Ask, draw: Draw) -> None:
        """Whatever the core lets through: signs, other scripts, line ends, a long one."""
        for prompt in ("苹果 🍎\n(red:1.2) [green], \\ % {0} <x:1>", "apple " * 100):
            assert draw(ask(prompt)).png

    def test_it_tells_where_it_is(self, model: ModelInfo, ask: Ask, draw: Draw, tells_steps: bool) -> None:
        """Steps rise to their total; without steps there are stages. Who watches sees that something goes on."""
        progress = Recorder()
        draw(ask(num_inference_steps=_a_few(model)), progress)
        if not tells_steps:
            assert progress.stages, "call progress.stage(...), so that who watches sees that something goes on"
            return
        assert progress.steps, "call progress.step(step, total) after every step"
        numbers, totals = zip(*progress.steps, strict=True)
        assert list(numbers) == sorted(set(numbers)) and set(totals) == {numbers[-1]}, progress.steps

    def test_a_cancelled_job_stops_within_a_step(
        self, model: ModelInfo, ask: Ask, draw: Draw, tells_steps: bool
    ) -> None:
        """`progress` raises `JobCancelled`; the generator lets it pass, and does no further step."""
        progress = Recorder(cancel_at_step=1) if tells_steps else Recorder(cancel_at_stage=True)
        with pytest.raises(JobCancelled):
            draw(ask(num_inference_steps=_a_few(model)), progress)
        assert progress.cancelled and len(progress.steps) == (1 if tells_steps else 0)

    def test_after_a_cancelled_job_it_draws_as_before(self, ask: Ask, draw: Draw, tells_steps: bool) -> None:
        """Nothing of the job that was stopped is left."""
        before = decode_png(draw(ask()).png)
        with pytest.raises(JobCancelled):
            draw(ask(), Recorder(cancel_at_step=1, cancel_at_stage=not tells_steps))
        assert np.array_equal(decode_png(draw(ask()).png), before)

    def test_several_at_once_draw_what_each_would_alone(
        self, generator: Generator, ask: Ask, draw: Draw, loop: BlockingPortal
    ) -> None:
        """As many as `concurrency` says, four at most here. To a shade: floats add up differently in company."""
        requests = [ask(seed=seed) for seed in range(min(generator.concurrency, 4))]
        alone = [draw(request) for request in requests]
        together = loop.call(_together, generator, requests)
        for one, other in zip(alone, together, strict=True):
            apart = decode_png(one.png).astype(int) - decode_png(other.png)
            assert np.abs(apart).max() <= 1

    def test_a_model_may_be_loaded_and_unloaded_at_any_time(
        self, generator: Generator, model: ModelInfo, ask: Ask, draw: Draw, loop: BlockingPortal
    ) -> None:
        """Twice in a row, and one that was never loaded; it draws as before afterwards."""
        before = decode_png(draw(ask()).png)
        for call in (generator.unload, generator.unload):
            _call(loop, call, model)
        for _ in range(2):
            _call(loop, generator.load, model, Recorder())
        assert np.array_equal(decode_png(draw(ask()).png), before)

    def test_load_and_unload_are_of_the_same_kind_as_run(self, generator: Generator) -> None:
        """All plain functions, which the core calls in a worker process, or all coroutines."""
        kinds = {
            name: inspect.iscoroutinefunction(getattr(generator, name))
            for name in ("run", "load", "unload")
            if name == "run" or getattr(type(generator), name) is not getattr(Generator, name)
        }
        assert len(set(kinds.values())) == 1, f"coroutines or not: {kinds}"

    def test_its_status_is_plain_data_under_its_own_name(self, generator: Generator, ask: Ask, draw: Draw) -> None:
        """Before it has drawn, and after."""
        for _ in range(2):
            status = generator.status()
            assert isinstance(status, BackendStatus) and status.name == generator.name
            assert all(isinstance(model, str) for model in status.loaded_models)
            json.dumps(dict(status.facts), allow_nan=False)
            draw(ask())

    def test_it_may_be_closed_twice(self, generator: Generator, ask: Ask, draw: Draw) -> None:
        """The server ends once, but may be told twice."""
        draw(ask())
        generator.close()
        generator.close()


def _call(loop: BlockingPortal, method: Callable[..., Any], *arguments: object) -> Any:
    """As the core calls it: a plain function outside any event loop, a coroutine in the one there is."""
    answer = method(*arguments)
    return loop.call(_awaited, answer) if inspect.iscoroutine(answer) else answer


async def _awaited(answer: Coroutine[Any, Any, Any]) -> Any:
    return await answer


async def _together(generator: Generator, requests: Sequence[GenerationRequest]) -> list[GeneratedImage]:
    run: Callable[..., Any] = generator.run
    if not inspect.iscoroutinefunction(run):
        return list(await asyncio.gather(*(asyncio.to_thread(run, request, Recorder()) for request in requests)))
    return list(await asyncio.gather(*(run(request, Recorder()) for request in requests)))


def _sides(model: ModelInfo) -> list[tuple[int, int]]:
    limits = model.limits
    return list(zip(limits.min_resolution, limits.max_resolution, strict=True))


def _a_few(model: ModelInfo) -> int:
    """Steps enough to be stopped among them, where the model takes more than one."""
    low, high = model.limits.steps
    return min(max(low, 3), high)

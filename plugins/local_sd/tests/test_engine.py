"""The engine: who shares a denoiser call, whose turn it is, and that sharing changes no picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visioncraft import GenerationFailed, JobCancelled, decode_png
from visioncraft_local_sd.checkpoints import read_checkpoint
from visioncraft_local_sd.choices import Choices
from visioncraft_local_sd.engine.bounds import Bounds
from visioncraft_local_sd.engine.engine import Engine, Work
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
Ask = Callable[..., Any]
MINI = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"
MIXED: Sequence[dict[str, Any]] = (
    {"seed": 1, "num_inference_steps": 4, "guidance_scale": 1.0, "sampler": "euler"},
    {"seed": 2, "num_inference_steps": 7, "guidance_scale": 7.5, "sampler": "euler_a"},
    {"seed": 3, "num_inference_steps": 5, "guidance_scale": 3.0, "sampler": "heun", "negative_prompt": "blue"},
    {"seed": 4, "num_inference_steps": 6, "guidance_scale": 12.0, "sampler": "dpm++_2m_karras", "prompt": "a boat"},
)


@dataclass
class Counted:
    """A call that says who made it together; fails for those named in `bad`."""

    who: str
    kind: str
    log: list[tuple[str, ...]]
    bound: int = 8
    weight: int = 1
    bad: Sequence[str] = ()

    @property
    def key(self) -> str:
        return self.kind

    def together(self, calls: Sequence[Counted]) -> Sequence[str]:
        if names := [call.who for call in calls if call.who in self.bad]:
            raise ValueError(f"{', '.join(names)} cannot be computed")
        self.log.append(tuple(call.who for call in calls))
        return [f"{call.who}!" for call in calls]

    def crowded(self, weight: int, error: Exception) -> None:
        self.log.append(("crowded", str(weight)))


@dataclass
class House:
    """An engine and what it computed."""

    engine: Engine = field(default_factory=Engine)
    log: list[tuple[str, ...]] = field(default_factory=list)

    def work(self, who: str, steps: int, kind: str = "a", **more: Any) -> Work[list[str]]:
        answers = []
        for _ in range(steps):
            answers.append((yield Counted(who, kind, self.log, **more)))
        return answers

    def at_once(self, *works: Work[Any]) -> list[Any]:
        """What each work answers, or the error it ends with, all of them having come before the next step."""
        with held(self.engine, len(works)), ThreadPoolExecutor(len(works)) as pool:
            return list(pool.map(self._outcome, works))

    def _outcome(self, work: Work[Any]) -> Any:
        try:
            return self.engine.run(work)
        except Exception as error:
            return error


@contextmanager
def held(engine: Engine, count: int) -> Iterator[None]:
    """Keep the engine busy until so many requests wait for it."""
    started = threading.Event()

    def wait() -> None:
        started.set()
        until_waiting(engine, count)

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(engine.call, wait)
        assert started.wait(10)
        yield
        busy.result(10)


def until_waiting(engine: Engine, count: int) -> None:
    clock = threading.Event()
    for _ in range(10_000):
        if len(engine._arrived) >= count:
            return
        clock.wait(0.001)
    raise TimeoutError(f"{count} requests did not come")


def drawn_at_once(local: LocalSD, requests: Sequence[Any], watchers: Sequence[Any]) -> list[Any]:
    with held(local._engine, len(requests)), ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(local.run, requests, watchers))


@contextmanager
def counted_rows(local: LocalSD, request: Any, watcher: Any) -> Iterator[list[int]]:
    """How many rows each call of the denoiser has."""
    rows: list[int] = []
    with local._held(request.model, watcher) as loaded:
        watch = loaded.pipe.unet.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    try:
        yield rows
    finally:
        watch.remove()


def pixels(image: Any) -> np.ndarray:
    return decode_png(image.png).astype(int)


def furthest(left: Any, right: Any) -> int:
    return int(np.abs(left - right).max())


def test_requests_share_a_call_each_step_and_leave_when_they_are_done() -> None:
    house = House()
    assert house.at_once(house.work("x", 3), house.work("y", 1), house.work("z", 2)) == [["x!"] * 3, ["y!"], ["z!"] * 2]
    assert [len(names) for names in house.log] == [3, 2, 1]


def test_a_request_joins_at_the_next_step_of_one_that_runs() -> None:
    house = House()
    running = house.work("long", 4)

    pool = ThreadPoolExecutor(1)

    def long() -> Work[None]:
        yield next(running)
        pool.submit(house.engine.run, house.work("late", 2))
        until_waiting(house.engine, 1)
        yield from running

    with pool:
        house.engine.run(long())
    assert house.log == [("long",), *[("long", "late")] * 2, ("long",)]


def test_every_shape_has_a_step_in_turn_so_that_a_short_request_passes_a_long_one() -> None:
    house = House()
    house.at_once(house.work("long", 6, "a"), house.work("short", 2, "b"))
    assert house.log.index(("short",)) <= 1
    assert house.log[:4].count(("short",)) == 2


def test_where_not_all_fit_into_a_call_those_that_waited_longest_go_first() -> None:
    house = House()
    house.at_once(*(house.work(name, 2, bound=2) for name in "uvw"))
    assert [len(names) for names in house.log] == [2, 2, 2]
    assert {name: sum(name in names for names in house.log) for name in "uvw"} == {"u": 2, "v": 2, "w": 2}
    assert set(house.log[0]) | set(house.log[1]) == set("uvw")


def test_a_call_that_fails_together_is_made_for_each_alone_and_only_the_culprit_fails() -> None:
    house = House()
    outcomes = house.at_once(*(house.work(name, 2, bad=["y"]) for name in "xyz"))
    assert [str(outcome) for outcome in outcomes] == ["['x!', 'x!']", "y cannot be computed", "['z!', 'z!']"]
    assert ("crowded", "3") in house.log


def test_an_error_in_one_requests_work_reaches_that_request_alone() -> None:
    house = House()

    def broken() -> Work[None]:
        yield Counted("broken", "a", house.log)
        raise GenerationFailed("no")

    outcomes = house.at_once(broken(), house.work("whole", 3))
    assert isinstance(outcomes[0], GenerationFailed)
    assert outcomes[1] == ["whole!"] * 3
    assert house.engine.call(lambda: "it goes on") == "it goes on"


def test_the_thread_that_computes_ends_with_the_work() -> None:
    engine = Engine()
    thread = engine.call(threading.current_thread)
    thread.join(10)
    assert not thread.is_alive()
    assert engine.call(threading.current_thread) is not thread


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_pictures_drawn_together_are_those_drawn_alone_whatever_their_steps_guidance_and_sampler(
    local: LocalSD, family: str, request: pytest.FixtureRequest, ask: Ask, recorder: Any
) -> None:
    requests = [ask(request.getfixturevalue(family), **change) for change in MIXED]
    alone = [local.run(one, recorder()) for one in requests]
    with local._held(requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(8, 8).rows = 8
    watchers = [recorder() for _ in requests]
    with counted_rows(local, requests[0], recorder()) as rows:
        together = drawn_at_once(local, requests, watchers)
    assert max(furthest(pixels(one), pixels(other)) for one, other in zip(alone, together, strict=True)) <= 1
    assert [watcher.steps[-1] for watcher in watchers] == [(n, n) for n in (4, 7, 5, 6)]
    assert rows == [7, 7, 7, 7, 6, 6, 4, 2, 2]  # guidance of 1 has one row; heun calls 9 times for 5 steps


def test_pictures_drawn_together_are_those_of_stock_diffusers(
    local: LocalSD, sd1: Path, ask: Ask, recorder: Any
) -> None:
    import diffusers
    import torch

    pipe: Any = diffusers.StableDiffusionPipeline
    stock = pipe.from_pretrained(sd1, local_files_only=True)
    requests = [
        ask(sd1, seed=seed, guidance_scale=guidance, num_inference_steps=steps)
        for seed, guidance, steps in ((1, 1.0, 5), (2, 7.5, 3), (3, 20.0, 4))
    ]
    together = drawn_at_once(local, requests, [recorder() for _ in requests])
    for one, drawn in zip(requests, together, strict=True):
        expected = stock(
            one.prompt,
            width=64,
            height=64,
            num_inference_steps=one.num_inference_steps,
            guidance_scale=one.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(one.seed),
        ).images[0]
        assert furthest(pixels(drawn), np.asarray(expected).astype(int)) <= 1


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_mini_draws_the_same_picture_alone_and_together_in_each_precision(
    generator_for: Make, ask: Ask, recorder: Any, dtype: str
) -> None:
    local = generator_for(dtype=dtype, preview="off")
    small = {"width": 128, "height": 128}
    requests = [ask(MINI, **{**change, **small}) for change in MIXED]
    alone = [pixels(local.run(one, recorder())) for one in requests]
    together = drawn_at_once(local, requests, [recorder() for _ in requests])
    assert max(furthest(one, pixels(other)) for one, other in zip(alone, together, strict=True)) <= 1


def test_a_cancel_stops_one_within_a_step_and_the_others_draw_on(
    local: LocalSD, sd1: Path, ask: Ask, recorder: Any
) -> None:
    requests = [ask(sd1, seed=seed, num_inference_steps=6, sampler="euler") for seed in (1, 2)]
    alone = pixels(local.run(requests[1], recorder()))
    watchers = [recorder(cancel_at_step=2), recorder()]

    def draw(one: Any, watcher: Any) -> Any:
        try:
            return local.run(one, watcher)
        except JobCancelled as cancelled:
            return cancelled

    with held(local._engine, 2), ThreadPoolExecutor(2) as pool:
        stopped, drawn = pool.map(draw, requests, watchers)
    assert isinstance(stopped, JobCancelled)
    assert watchers[0].steps[-1] == (2, 6)
    assert furthest(alone, pixels(drawn)) <= 1


def test_pictures_of_two_sizes_are_drawn_at_once(local: LocalSD, sd1: Path, ask: Ask, recorder: Any) -> None:
    requests = [ask(sd1, width=width, num_inference_steps=3, sampler="euler") for width in (64, 96, 64)]
    alone = [pixels(local.run(one, recorder())) for one in requests]
    with local._held(requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(8, 8).rows = 8
    with counted_rows(local, requests[0], recorder()) as rows:
        together = drawn_at_once(local, requests, [recorder() for _ in requests])
    assert sorted(rows) == [2, 2, 2, 4, 4, 4]
    assert max(furthest(one, pixels(other)) for one, other in zip(alone, together, strict=True)) <= 1


def test_memory_that_runs_out_for_many_suffices_for_fewer_from_then_on(
    generator_for: Make, sd1: Path, ask: Ask, recorder: Any
) -> None:
    import torch

    local = generator_for()
    requests = [ask(sd1, seed=seed, sampler="euler") for seed in range(4)]

    def run_out(module: Any, args: tuple[Any, ...]) -> None:
        if len(args[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with counted_rows(local, requests[0], recorder()) as rows, local._held(requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(8, 8).rows = 8
        watch = loaded.pipe.unet.register_forward_pre_hook(run_out)
        together = drawn_at_once(local, requests, [recorder() for _ in requests])
        watch.remove()
    assert len(together) == 4
    assert rows == [2, 2, 2, 2, 4, 4, 4, 4]


class Clock:
    """Time as a call of the denoiser takes it: 10 ms, and what its rows take."""

    def __init__(self, row_ms: Callable[[int], float]) -> None:
        self.row_ms, self.now = row_ms, 0.0

    def call(self, bounds: Bounds, rows: int) -> None:
        with bounds.timed(8, 8, rows):
            self.now += (10 + sum(self.row_ms(number) for number in range(1, rows + 1))) / 1000


@pytest.fixture
def kept(sd1: Path, tmp_path: Path) -> Choices:
    return Choices(tmp_path / "precision.json", read_checkpoint(sd1))


@pytest.mark.parametrize(("busy_at", "expected"), [(2, 2), (8, 8), (10_000, 128)])
def test_calls_grow_until_a_row_gains_nothing_and_the_bound_is_kept(
    kept: Choices, monkeypatch: pytest.MonkeyPatch, busy_at: int, expected: int
) -> None:
    clock = Clock(lambda number: 1.0 if number <= busy_at else 12.0)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    bounds = Bounds(kept, "fp32", room=lambda height, width: 1000)
    asked = []
    for _ in range(40):
        asked.append(bounds.rows(8, 8))
        clock.call(bounds, asked[-1])
    assert asked[0] == 2
    assert asked[-1] == expected
    assert Bounds(kept, "fp32", room=lambda height, width: 1000).rows(8, 8) == expected
    assert Bounds(kept, "bf16", room=lambda height, width: 1000).rows(8, 8) == 2
    assert bounds.rows(16, 8) == 2


def test_no_call_has_more_rows_than_memory_suffices_for(kept: Choices) -> None:
    bounds = Bounds(kept, "fp32", room=lambda height, width: 4096 // (height * width))
    bounds._size(16, 16).rows = bounds._size(64, 64).rows = 64
    assert bounds.rows(16, 16) == 16
    assert bounds.rows(64, 64) == 2


def test_a_drawing_may_begin_from_a_picture_as_diffusers_image_to_image_does(sd1: Path, kept: Choices) -> None:
    import diffusers
    import torch
    from visioncraft_local_sd.engine.conditioning import Conditioning
    from visioncraft_local_sd.engine.denoiser import Denoiser
    from visioncraft_local_sd.engine.sampling import Sampling, Start

    pipe: Any = diffusers.StableDiffusionImg2ImgPipeline
    stock = pipe.from_pretrained(sd1, local_files_only=True)
    picture = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        expected = stock(
            "a red apple",
            image=picture,
            strength=0.6,
            num_inference_steps=5,
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(7),
            output_type="latent",
        ).images
        told, without = stock.encode_prompt("a red apple", "cpu", 1, True)
        generator = torch.Generator().manual_seed(7)
        noise = torch.randn(picture.shape, generator=generator)
        scheduler = type(stock.scheduler).from_config(stock.scheduler.config)
        seen: list[int] = []
        start = Start(picture, 0.6, after_step=lambda sampling: seen.append(sampling.index))
        branches = (Conditioning(without), Conditioning(told))
        sampling = Sampling(scheduler, 5, 4.0, branches, noise, generator, "cpu", start)
        denoiser = Denoiser(stock.unet, Bounds(kept, "fp32", room=lambda height, width: 8))
        while not sampling.ended:
            sampling.advance(denoiser.predict([sampling.ask(denoiser)])[0])
    assert sampling.steps == 3
    assert seen == list(range(1, len(sampling.timesteps) + 1))
    assert torch.allclose(sampling.latents, expected, atol=1e-4)


def test_a_text_is_encoded_once_and_again_when_what_it_means_may_have_changed(
    generator_for: Make, sd1: Path, ask: Ask, recorder: Any
) -> None:
    local, calls = generator_for(), []
    with local._held(ask(sd1).model, recorder()) as loaded:
        loaded.pipe.text_encoder.register_forward_hook(lambda *call: calls.append(1))
    pictures = {local.run(ask(sd1, seed=5, negative_prompt="blue"), recorder()).png for _ in range(3)}
    assert (len(pictures), len(calls)) == (1, 2)
    local.run(ask(sd1, negative_prompt="green"), recorder())
    assert len(calls) == 4
    embeddings = local._library.models_dir / "embeddings"
    embeddings.mkdir(parents=True)
    (embeddings / "zork.safetensors").touch()
    local.run(ask(sd1, negative_prompt="blue"), recorder())
    assert len(calls) == 6

"""Pictures drawn together: they share denoiser calls, and sharing changes none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from together import NEAR, counted_rows, drawn_at_once, furthest, held, in_loop, pixels
from visioncraft import JobCancelled
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
DenoiserCall = Callable[..., Any]
MINI = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"
MIXED: Sequence[dict[str, Any]] = (
    {"seed": 1, "num_inference_steps": 4, "guidance_scale": 1.0, "sampler": "euler"},
    {"seed": 2, "num_inference_steps": 7, "guidance_scale": 7.5, "sampler": "euler_a"},
    {"seed": 3, "num_inference_steps": 5, "guidance_scale": 3.0, "sampler": "heun", "negative_prompt": "blue"},
    {"seed": 4, "num_inference_steps": 6, "guidance_scale": 12.0, "sampler": "dpm++_2m_karras", "prompt": "a boat"},
)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_pictures_drawn_together_are_those_drawn_alone_whatever_their_steps_guidance_and_sampler(
    local: LocalSD, family: str, request: pytest.FixtureRequest, ask: DenoiserCall, recorder: Any
) -> None:
    requests = [ask(request.getfixturevalue(family), **change) for change in MIXED]
    alone = [local.run(one, recorder()) for one in requests]
    with in_loop(local, requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(8, 8).rows = 8
    watchers = [recorder() for _ in requests]
    with counted_rows(local, requests[0], recorder()) as rows:
        together = drawn_at_once(local, requests, watchers)
    assert max(furthest(pixels(one), pixels(other)) for one, other in zip(alone, together, strict=True)) <= NEAR
    assert [watcher.steps[-1] for watcher in watchers] == [(n, n) for n in (4, 7, 5, 6)]
    assert rows == [7, 7, 7, 7, 6, 6, 4, 2, 2]  # guidance of 1 has one row; heun calls 9 times for 5 steps


def test_pictures_drawn_together_are_those_of_stock_diffusers(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any
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
        assert furthest(pixels(drawn), np.asarray(expected).astype(int)) <= NEAR


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_mini_draws_the_same_picture_alone_and_together_in_each_precision(
    generator_for: Make, ask: DenoiserCall, recorder: Any, dtype: str
) -> None:
    local = generator_for(dtype=dtype, preview="off")
    small = {"width": 128, "height": 128}
    requests = [ask(MINI, **{**change, **small}) for change in MIXED]
    alone = [pixels(local.run(one, recorder())) for one in requests]
    together = drawn_at_once(local, requests, [recorder() for _ in requests])
    assert max(furthest(one, pixels(other)) for one, other in zip(alone, together, strict=True)) <= NEAR


def test_a_cancel_stops_one_within_a_step_and_the_others_draw_on(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any
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
    assert furthest(alone, pixels(drawn)) <= NEAR


def test_pictures_of_two_sizes_are_drawn_at_once(local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any) -> None:
    requests = [ask(sd1, width=width, num_inference_steps=3, sampler="euler") for width in (64, 96, 64)]
    alone = [pixels(local.run(one, recorder())) for one in requests]
    with in_loop(local, requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(8, 8).rows = 8
    with counted_rows(local, requests[0], recorder()) as rows:
        together = drawn_at_once(local, requests, [recorder() for _ in requests])
    assert sorted(rows) == [2, 2, 2, 4, 4, 4]
    assert max(furthest(one, pixels(other)) for one, other in zip(alone, together, strict=True)) <= NEAR


def test_memory_that_runs_out_for_many_suffices_for_fewer_from_then_on(
    generator_for: Make, sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    import torch

    local = generator_for()
    requests = [ask(sd1, seed=seed, sampler="euler") for seed in range(4)]

    def run_out(module: Any, args: tuple[Any, ...]) -> None:
        if len(args[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with counted_rows(local, requests[0], recorder()) as rows, in_loop(local, requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(8, 8).rows = 8
        watch = loaded.pipe.unet.register_forward_pre_hook(run_out)
        together = drawn_at_once(local, requests, [recorder() for _ in requests])
        watch.remove()
    assert len(together) == 4
    assert rows == [2, 2, 2, 2, 4, 4, 4, 4]

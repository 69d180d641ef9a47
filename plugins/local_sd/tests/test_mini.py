"""The embedded model of this repository: the same code as for any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import JobCancelled, has_bf16
from visioncraft_local_sd.generator import LocalSD

WEIGHTS = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"
DenoiserCall = Callable[..., Any]
SMALL = {"width": 256, "height": 256, "num_inference_steps": 4}


def test_mini_gives_a_seed_the_same_picture_and_another_seed_another(
    local: LocalSD, ask: DenoiserCall, recorder: Any
) -> None:
    first = local.run(ask(WEIGHTS, seed=1, **SMALL), recorder())
    assert (first.width, first.height) == (256, 256)
    assert local.run(ask(WEIGHTS, seed=1, **SMALL), recorder()).png == first.png
    assert local.run(ask(WEIGHTS, seed=2, **SMALL), recorder()).png != first.png


def test_mini_stops_within_one_step_of_a_cancel(local: LocalSD, ask: DenoiserCall, recorder: Any) -> None:
    progress = recorder(cancel_at_step=2)
    with pytest.raises(JobCancelled):
        local.run(ask(WEIGHTS, **{**SMALL, "num_inference_steps": 20}), progress)
    assert progress.steps == [(1, 20), (2, 20)]


def test_mini_draws_in_the_precision_that_the_processor_has_and_says_which(
    generator_for: Callable[..., LocalSD], ask: DenoiserCall, recorder: Any
) -> None:
    local, watcher = generator_for(device="cpu", dtype="auto"), recorder()
    facts = local.run(ask(WEIGHTS, **SMALL), watcher).facts
    assert facts["dtype"] == ("bf16" if has_bf16() else "fp32")
    assert watcher.stages[-3:] == ["loading", "encoding prompt", "decoding"]
    told = local.status().facts
    assert 1 <= told["threads"] <= told["most_threads"]


@pytest.mark.parametrize("sampler", ["euler", "euler_a", "dpm++_2m_karras", "unipc", "lms", "heun", "ddim"])
def test_mini_draws_something_with_every_common_sampler(
    local: LocalSD, ask: DenoiserCall, recorder: Any, sampler: str
) -> None:
    from visioncraft import decode_png

    image = local.run(ask(WEIGHTS, sampler=sampler, **SMALL), recorder())
    assert decode_png(image.png).std() > 1

"""What only a GPU can show: run by hand where there is one, `make test ARGS=plugins/local_sd/tests/test_cuda.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from together import drawn_at_once, furthest, in_loop, pixels
from visioncraft import InsufficientVRAM
from visioncraft_local_sd.compiling.cuda_graphs import AFTER, Graphs
from visioncraft_local_sd.device.memory import GB, MODES, free_gb
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
DenoiserCall = Callable[..., Any]
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
MIXED: Sequence[dict[str, Any]] = (
    {"seed": 1, "num_inference_steps": 20, "guidance_scale": 1.0, "sampler": "euler"},
    {"seed": 2, "num_inference_steps": 23, "guidance_scale": 7.5, "sampler": "euler_a"},
    {"seed": 3, "num_inference_steps": 20, "guidance_scale": 3.0, "sampler": "heun", "negative_prompt": "blue"},
    {"seed": 4, "num_inference_steps": 26, "guidance_scale": 5.0, "sampler": "dpm++_2m_karras", "prompt": "a boat"},
)


@pytest.fixture
def on_cuda(generator_for: Make) -> Iterator[Callable[..., LocalSD]]:
    """A generator on the GPU, as it comes unless told otherwise; gone after the test."""
    made: list[LocalSD] = []

    def make(**settings: Any) -> LocalSD:
        made.append(generator_for(**{"device": "cuda", "dtype": "auto", **settings}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def draw(mini: Path, ask: DenoiserCall) -> Callable[..., Any]:
    """A request for mini."""
    defaults = {"num_inference_steps": 20, "width": 256, "height": 256, "guidance_scale": 5.0}
    return lambda **changes: ask(mini, **{**defaults, **changes})


@contextmanager
def only_free(gigabytes: float) -> Iterator[None]:
    """Leave so much of the GPU to be taken."""
    ballast = torch.empty(int((free_gb("cuda") - gigabytes) * GB), dtype=torch.uint8, device="cuda")
    torch.cuda.empty_cache()
    try:
        yield
    finally:
        del ballast
        torch.cuda.empty_cache()


def test_a_picture_in_fp16_is_that_of_a_cpu_in_fp32(
    on_cuda: Make, generator_for: Make, draw: Any, recorder: Any
) -> None:
    image = on_cuda().run(draw(), recorder())
    expected = generator_for(device="cpu").run(draw(), recorder())
    assert image.facts["dtype"] == "fp16"
    assert image.vram_used > 0
    apart = np.abs(pixels(image) - pixels(expected))
    print(f"\nfp16 on CUDA against fp32 on the CPU: {apart.mean():.3f}/255 on average, {apart.max()} at most")
    assert apart.mean() < 1


def test_calls_that_are_replayed_draw_what_calls_as_they_are_draw(on_cuda: Make, draw: Any, recorder: Any) -> None:
    local, plain = on_cuda(), on_cuda(compile="off")
    with in_loop(local, draw().model, recorder()) as loaded:
        assert isinstance(loaded._network, Graphs)
        loaded._network._pays = 1e9
        drawn = [pixels(local.run(draw(seed=seed), recorder())) for seed in (1, 2, 1)]
        assert loaded._network.recorded == 1
    expected = [pixels(plain.run(draw(seed=seed), recorder())) for seed in (1, 2, 1)]
    assert furthest(drawn[0], drawn[2]) == 0
    assert [furthest(one, other) for one, other in zip(drawn, expected, strict=True)] == [0, 0, 0]


def test_a_recording_that_does_not_pay_is_not_kept(on_cuda: Make, draw: Any, recorder: Any) -> None:
    local = on_cuda()
    with in_loop(local, draw().model, recorder()) as loaded:
        loaded._network._pays = 0.0  # type: ignore[union-attr]
        local.run(draw(), recorder())
        assert loaded._network.recorded == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(("dtype", "apart"), [("fp32", 12), ("fp16", 24)])
def test_pictures_drawn_together_are_those_drawn_alone_but_for_rounding(
    on_cuda: Make, draw: Any, recorder: Any, dtype: str, apart: int
) -> None:
    """A GPU takes other kernels for other numbers of rows, which round elsewhere."""
    local = on_cuda(dtype=dtype)
    requests = [draw(**change) for change in MIXED]
    alone = [pixels(local.run(one, recorder())) for one in requests]
    with in_loop(local, requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(16, 16).rows = 8
    together = [pixels(one) for one in drawn_at_once(local, requests, [recorder() for _ in requests])]
    differences = [np.abs(one - other) for one, other in zip(alone, together, strict=True)]
    shown = ", ".join(f"{each.mean():.3f} (at most {each.max()})" for each in differences)
    print(f"\ntogether against alone in {dtype}, of 255: {shown}")
    assert max(each.max() for each in differences) <= apart
    assert max(each.mean() for each in differences) < 1


def test_each_memory_mode_draws_the_picture_in_less_memory(on_cuda: Make, draw: Any, recorder: Any) -> None:
    pictures, peaks = [], []
    for mode in MODES:
        local = on_cuda(memory_mode=mode)
        image = local.run(draw(width=512, height=512), recorder())
        pictures.append(pixels(image))
        peaks.append(image.vram_used)
        assert image.facts["memory_mode"] == mode
        local.close()
    print(f"\npeaks of {', '.join(MODES)} in GB: {peaks}")
    assert peaks[0] >= peaks[1] >= peaks[3]
    assert max(np.abs(each - pictures[0]).mean() for each in pictures) < 2


def test_a_gpu_that_is_full_refuses_a_picture_with_what_it_has_and_draws_when_there_is_room(
    on_cuda: Make, draw: Any, recorder: Any
) -> None:
    local = on_cuda(memory_mode="full")
    local.load(draw().model, recorder())
    with only_free(0.35), pytest.raises(InsufficientVRAM) as refused:
        local.run(draw(width=1024, height=1024), recorder())
    assert 0 < refused.value.vram_available < refused.value.vram_required
    assert local.run(draw(), recorder()).width == 256


def test_memory_that_runs_out_in_the_middle_is_said_and_the_next_picture_is_drawn(
    on_cuda: Make, draw: Any, recorder: Any
) -> None:
    local, taken = on_cuda(preview="off"), list[torch.Tensor]()

    def take_all(step: int) -> None:
        if step == 2:
            torch.cuda.empty_cache()
            taken.append(torch.empty(torch.cuda.mem_get_info()[0] - 2**26, dtype=torch.uint8, device="cuda"))

    with pytest.raises(InsufficientVRAM):
        local.run(draw(width=1024, height=1024), recorder(on_step=take_all))
    assert taken
    taken.clear()
    assert local.run(draw(width=1024, height=1024), recorder()).width == 1024


def test_recordings_give_way_to_a_picture_that_needs_their_memory(on_cuda: Make, draw: Any, recorder: Any) -> None:
    local = on_cuda()
    with in_loop(local, draw().model, recorder()) as loaded:
        loaded._network._pays = 1e9  # type: ignore[union-attr]
        local.run(draw(), recorder())
        assert loaded._network.recorded == 1  # type: ignore[union-attr]
        needed = loaded.footprint.working_gb(1024, 1024, loaded.mode)
        with only_free(needed * 0.99):
            local._make_fit(loaded, draw(width=1024, height=1024))
            assert loaded._network.recorded == 0  # type: ignore[union-attr]


def test_models_that_come_and_go_leave_no_memory_behind(on_cuda: Make, draw: Any, recorder: Any) -> None:
    local, kept = on_cuda(), []
    for _ in range(4):
        local.run(draw(num_inference_steps=AFTER + 2), recorder())
        local.unload(draw().model)
        kept.append(torch.cuda.memory_allocated())
    print(f"\nbytes left after each unload: {kept}")
    assert kept[-1] <= kept[1]

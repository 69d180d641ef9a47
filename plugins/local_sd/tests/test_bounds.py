"""How many rows a denoiser call may have, and a drawing that begins from a picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft_local_sd.batching.limits import BatchLimits
from visioncraft_local_sd.device.measurements import Measurements
from visioncraft_local_sd.weights.checkpoints import read_checkpoint


class Clock:
    """Time as a call of the denoiser takes it: 10 ms, and what its rows take."""

    def __init__(self, row_ms: Callable[[int], float]) -> None:
        self.row_ms, self.now = row_ms, 0.0

    def call(self, bounds: BatchLimits, rows: int) -> None:
        with bounds.timed(8, 8, rows):
            self.now += (10 + sum(self.row_ms(number) for number in range(1, rows + 1))) / 1000


@pytest.fixture
def kept(sd1: Path, tmp_path: Path) -> Measurements:
    return Measurements(tmp_path / "precision.json", read_checkpoint(sd1), "cpu")


@pytest.mark.parametrize(("busy_at", "expected"), [(2, 2), (8, 8), (10_000, 128)])
def test_calls_grow_until_a_row_gains_nothing_and_the_bound_is_kept(
    kept: Measurements, monkeypatch: pytest.MonkeyPatch, busy_at: int, expected: int
) -> None:
    clock = Clock(lambda number: 1.0 if number <= busy_at else 12.0)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    bounds = BatchLimits(kept, "fp32", room=lambda height, width: 1000)
    asked = []
    for _ in range(40):
        asked.append(bounds.rows(8, 8))
        clock.call(bounds, asked[-1])
    assert asked[0] == 2
    assert asked[-1] == expected
    assert BatchLimits(kept, "fp32", room=lambda height, width: 1000).rows(8, 8) == expected
    assert BatchLimits(kept, "bf16", room=lambda height, width: 1000).rows(8, 8) == 2
    assert bounds.rows(16, 8) == 2


def test_no_call_has_more_rows_than_memory_suffices_for(kept: Measurements) -> None:
    bounds = BatchLimits(kept, "fp32", room=lambda height, width: 4096 // (height * width))
    bounds._size(16, 16).rows = bounds._size(64, 64).rows = 64
    assert bounds.rows(16, 16) == 16
    assert bounds.rows(64, 64) == 2


def test_a_drawing_may_begin_from_a_picture_as_diffusers_image_to_image_does(sd1: Path, kept: Measurements) -> None:
    import diffusers
    import torch
    from visioncraft_local_sd.denoising.denoiser import Denoiser
    from visioncraft_local_sd.denoising.run import DenoisingRun, Start
    from visioncraft_local_sd.denoising.unet import UNet
    from visioncraft_local_sd.text.encoder import Conditioning

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
        sampling = DenoisingRun(scheduler, 5, 4.0, branches, noise, generator, "cpu", start)
        denoiser = Denoiser(UNet(stock.unet), BatchLimits(kept, "fp32", room=lambda height, width: 8))
        while not sampling.ended:
            sampling.advance(denoiser.predict([sampling.ask(denoiser)])[0])
    assert sampling.steps == 3
    assert seen == list(range(1, len(sampling.timesteps) + 1))
    assert torch.allclose(sampling.latents, expected, atol=1e-4)

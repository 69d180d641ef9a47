"""A request's way through its steps, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from visioncraft import InvalidRequest
from visioncraft_local_sd.engine.sampling import Sampling, Start
from visioncraft_local_sd.samplers import build_scheduler, sampler_names, schedule_names

STEPS = 26  # of mini's schedule with Karras' noise levels, the first two round to one timestep


class Nothing:
    """Stands for a denoiser that takes no guidance as an input."""

    def embedded(self, guidance: float) -> None:
        """No input."""


def sampled(mini: Path, sampler: str, start: Start | None) -> list[float]:
    """The timesteps that the denoiser was told."""
    import diffusers

    own = diffusers.DDIMScheduler.from_pretrained(mini / "scheduler")
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 4, 2, 2, generator=generator)
    branch: Any = object()
    sampling = Sampling(build_scheduler(sampler, own), STEPS, 1.0, (branch,), noise, generator, "cpu", start)
    told, denoiser = [], Nothing()
    while not sampling.ended:
        ask = sampling.ask(denoiser)  # type: ignore[arg-type]
        told.append(ask.timestep.item())
        sampling.advance(ask.latents * 0.1)
    assert torch.isfinite(sampling.latents).all()
    assert sampling.done == sampling.steps
    return told


@pytest.mark.parametrize("strength", [None, 0.5])
@pytest.mark.parametrize("sampler", sampler_names())
def test_every_sampler_takes_every_step_of_every_schedule(mini: Path, sampler: str, strength: float | None) -> None:
    start = Start(torch.ones(1, 4, 2, 2), strength) if strength else None
    schedules = [] if strength else schedule_names()
    for name in [sampler, *(f"{sampler}_{schedule}" for schedule in schedules)]:
        try:
            told = sampled(mini, name, start)
        except InvalidRequest as refused:
            assert f"Sampler '{sampler}' has no" in refused.message
        else:
            assert len(told) >= STEPS // (2 if strength else 1)


def test_noise_levels_that_round_to_one_timestep_are_each_taken(mini: Path) -> None:
    told = sampled(mini, "dpm++_2m_karras", None)
    assert told[0] == told[1]
    assert len(told) == STEPS

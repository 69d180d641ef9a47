"""A request's way through its steps, without a network."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from visioncraft import InvalidRequest
from visioncraft_diffusion.samplers import SCHEDULES
from visioncraft_local_sd.denoising.run import DenoisingRun, Start
from visioncraft_local_sd.denoising.schedulers import (
    build_scheduler,
    check_sampler,
    name_of,
    sampler_names,
)

TELLING = {"solver_type", "solver_order", "algorithm_type", "thresholding", "clip_sample"}
STEPS = 26  # of mini's schedule with Karras' noise levels, the first two round to one timestep


class Nothing:
    """Stands for a denoiser that takes no guidance as an input."""

    def embedded(self, guidance: float) -> None:
        """No input."""


def sampled(mini: Path, sampler: str, start: Start | None, steps: int = STEPS) -> list[float]:
    """The timesteps that the denoiser was told."""
    import diffusers

    own = diffusers.DDIMScheduler.from_pretrained(mini / "scheduler")
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 4, 2, 2, generator=generator)
    branch: Any = object()
    sampling = DenoisingRun(build_scheduler(sampler, own), steps, 1.0, (branch,), noise, generator, "cpu", start)
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
    schedules = () if strength else SCHEDULES
    for name in [sampler, *(f"{sampler}_{schedule}" for schedule in schedules)]:
        try:
            told = sampled(mini, name, start)
        except InvalidRequest as refused:
            assert f"Sampler '{sampler}' has no" in refused.message
        else:
            assert len(told) >= STEPS // (2 if strength else 1)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("sampler", sampler_names())
def test_every_sampler_draws_in_one_two_and_three_steps(mini: Path, sampler: str, steps: int) -> None:
    assert len(sampled(mini, sampler, None, steps)) >= steps
    assert len(sampled(mini, sampler, Start(torch.ones(1, 4, 2, 2), 0.5), steps)) >= 1


@pytest.mark.parametrize(
    ("spelling", "near"),
    [
        ("DPM++ 2S a", "'dpm2_a'"),
        ("dpmpp_2s_ancestral", "'dpm2_a'"),
        ("k_dpmpp_2s_a", "'dpm2_a'"),
        ("DPM++ 2S a Karras", "'dpm2_a'"),
        ("uni_pc", "'unipc'"),
    ],
)
def test_a_sampler_that_is_not_here_is_refused_by_its_name_and_never_drawn_as_another(spelling: str, near: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_sampler(spelling)
    assert spelling in refused.value.message
    assert near in str(refused.value.details["issue"])


@pytest.mark.parametrize(
    ("spelling", "own"),
    [("Euler a", "euler_a"), ("dpmpp_2m", "dpm++_2m"), ("sample_heun", "heun"), ("uni_pc_bh2", "unipc")],
)
def test_spellings_of_other_tools_mean_what_they_mean_there(spelling: str, own: str) -> None:
    assert check_sampler(spelling) == own


def test_a_samplers_name_means_one_sampler_whatever_the_models_own_scheduler_says() -> None:
    import diffusers

    odd = {"solver_type": "heun", "solver_order": 3, "algorithm_type": "sde-dpmsolver++", "thresholding": True}
    owns = [diffusers.DPMSolverMultistepScheduler(**odd), diffusers.DDIMScheduler(clip_sample=True, thresholding=True)]
    owns.append(diffusers.UniPCMultistepScheduler(solver_type="bh1", solver_order=3))
    for sampler in sampler_names():
        built = [build_scheduler(sampler, own) for own in owns]
        taken = set(signature(type(built[0]).__init__).parameters) & TELLING
        assert name_of(built[0]) == sampler
        assert len({tuple(scheduler.config[name] for name in sorted(taken)) for scheduler in built}) == 1, sampler


def test_noise_levels_that_round_to_one_timestep_are_each_taken(mini: Path) -> None:
    told = sampled(mini, "dpm++_2m_karras", None)
    assert told[0] == told[1]
    assert len(told) == STEPS

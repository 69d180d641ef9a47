"""Every sampler against diffusers' own, step for step, on outputs that stand in for a denoiser's."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from visioncraft import InvalidRequest
from visioncraft_local_onnx.noise import Noise
from visioncraft_local_onnx.sampling.names import build_sampler, check_sampler, own_sampler, sampler_names
from visioncraft_local_onnx.sampling.schedule import read_schedule

SHAPE = (1, 4, 8, 8)
LATENT = {"clip_sample": False, "thresholding": False}
THEIRS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", LATENT),
    "dpm++_2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "dpm++_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "euler_karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "lcm": ("LCMScheduler", LATENT),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
}
SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
CONFIGS: Mapping[str, dict[str, Any]] = {
    "mini": {
        **SCALED,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "trailing",
    },
    "sd1": {**SCALED, "steps_offset": 1, "set_alpha_to_one": False},
    "sd2": {**SCALED, "steps_offset": 1, "prediction_type": "v_prediction", "timestep_spacing": "leading"},
    "sdxl": {**SCALED, "steps_offset": 1, "timestep_spacing": "leading", "interpolation_type": "linear"},
    "spread": {**SCALED, "beta_schedule": "linear", "timestep_spacing": "linspace", "set_alpha_to_one": True},
    "cosine": {**SCALED, "beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"},
}


def theirs(name: str, config: Mapping[str, Any]) -> Any:
    """diffusers' scheduler for a model's configuration, built as local_sd builds it."""
    class_name, more = THEIRS[name]
    scheduler_class: Any = getattr(importlib.import_module("diffusers"), class_name)
    return scheduler_class.from_config({**config, **more})


@pytest.mark.parametrize("steps", [4, 20])
@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("name", sampler_names())
def test_a_sampler_takes_the_steps_that_diffusers_takes(name: str, kind: str, steps: int) -> None:
    config = CONFIGS[kind]
    peer, own = theirs(name, config), build_sampler(name, read_schedule(config), steps)
    peer.set_timesteps(steps)
    if hasattr(peer, "set_begin_index"):
        peer.set_begin_index(0)  # else two equal timesteps at the start make diffusers pass over the first
    assert np.abs(np.asarray(own.timesteps, dtype=float) - peer.timesteps.numpy()).max() <= 1e-3
    random, generator, noise = np.random.default_rng(0), torch.Generator("cpu").manual_seed(9), Noise(9)
    latents = random.standard_normal(SHAPE).astype(np.float32) * own.start_scale
    assert float(peer.init_noise_sigma) == pytest.approx(float(own.start_scale), rel=1e-5)
    for call, timestep in enumerate(peer.timesteps):
        shown = peer.scale_model_input(torch.from_numpy(latents), timestep).numpy()
        assert _gap(own.scale_input(latents, call), shown) <= 1e-5
        output = random.standard_normal(SHAPE).astype(np.float32)
        more = {"generator": generator} if name in ("euler_a", "lcm") else {}
        wanted = peer.step(torch.from_numpy(output), timestep, torch.from_numpy(latents), **more).prev_sample.numpy()
        moved = own.step(output, call, latents, lambda: noise.normal(SHAPE))
        assert moved.dtype == np.float32
        assert _gap(moved, wanted, latents) <= 1e-5, call
        latents = moved


def _gap(ours: Any, wanted: Any, given: Any = 1.0) -> float:
    """The largest difference, in units of the largest number involved where that is above 1.

    Sigmas go up to 4096, and single precision keeps seven digits of what a step subtracts from another.
    """
    return float(np.abs(ours - wanted).max() / max(1.0, np.abs(wanted).max(), np.abs(given).max()))


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 + 5, 2**53])
@pytest.mark.parametrize("shape", [(1, 4, 64, 64), (1, 4, 5, 5), (1, 4, 7, 9)])
def test_noise_is_the_noise_that_torch_draws_on_a_cpu(seed: int, shape: tuple[int, ...]) -> None:
    generator, noise = torch.Generator("cpu").manual_seed(seed), Noise(seed)
    for _ in range(3):
        wanted = torch.randn(shape, generator=generator).numpy()
        assert np.abs(noise.normal(shape) - wanted).max() <= 1e-6


def test_noise_of_so_few_numbers_that_torch_draws_them_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 16"):
        Noise(0).normal((1, 15))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DPM++ 2M Karras", "dpm++_2m_karras"),
        ("dpmpp_2m", "dpm++_2m"),
        ("k_euler_ancestral", "euler_a"),
        ("Euler a", "euler_a"),
        ("PLMS", "pndm"),
    ],
)
def test_the_spellings_of_other_tools_mean_the_same(written: str, meant: str) -> None:
    assert check_sampler(written) == meant


@pytest.mark.parametrize(("written", "hint"), [("eulr", "'euler'"), ("heun9000", "dpm++_2m_karras")])
def test_an_unknown_sampler_is_refused_with_what_there_is(written: str, hint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_sampler(written)
    assert caught.value.details["field"] == "sampler"
    assert hint in str(caught.value.details["issue"])


def test_a_models_own_sampler_is_the_one_its_configuration_names() -> None:
    assert own_sampler({"_class_name": "PNDMScheduler"}) == "pndm"
    assert own_sampler({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}) == "dpm++_2m_karras"
    assert own_sampler({"_class_name": "UniPCMultistepScheduler"}) == "dpm++_2m"


def test_an_own_ddim_clips_as_its_configuration_says() -> None:
    config = {**CONFIGS["sd1"], "_class_name": "DDIMScheduler", "clip_sample": True, "clip_sample_range": 0.5}
    peer, own = (
        importlib.import_module("diffusers").DDIMScheduler(**config),
        build_sampler(None, read_schedule(config), 5),
    )
    peer.set_timesteps(5)
    latents, output = (np.random.default_rng(n).standard_normal(SHAPE).astype(np.float32) for n in (1, 2))
    wanted = peer.step(torch.from_numpy(output), peer.timesteps[0], torch.from_numpy(latents)).prev_sample.numpy()
    assert _gap(own.step(output, 0, latents, lambda: latents), wanted) <= 1e-5


def test_a_noise_schedule_that_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="'sigmoid' is not known"):
        read_schedule({"beta_schedule": "sigmoid"})


@pytest.mark.parametrize("name", sampler_names())
def test_clean_latents_are_noised_as_diffusers_does(name: str) -> None:
    config = CONFIGS["sd1"]
    peer, own = theirs(name, config), build_sampler(name, read_schedule(config), 10)
    peer.set_timesteps(10)
    clean, noise = (np.random.default_rng(n).standard_normal(SHAPE).astype(np.float32) for n in (1, 2))
    for call in (0, 4, 9):
        wanted = peer.add_noise(torch.from_numpy(clean), torch.from_numpy(noise), peer.timesteps[call : call + 1])
        assert _gap(own.noised(clean, noise, call), wanted.numpy()) <= 1e-5

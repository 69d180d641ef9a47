"""Samplers' names in the spellings of every tool, for an engine with many samplers and for one with few."""

from __future__ import annotations

import pytest
from visioncraft import InvalidRequest
from visioncraft_diffusion.samplers import SAMPLERS, SCHEDULES, check_sampler, from_comfyui, from_invokeai, sampler_of

MANY = frozenset(SAMPLERS) | {f"{name}_{schedule}" for name in SAMPLERS for schedule in SCHEDULES}
FEW = ("ddim", "dpm++_2m", "dpm++_2m_karras", "euler", "euler_a")

COMFYUI = {
    ("euler", "normal"): "euler",
    ("euler_ancestral", "simple"): "euler_a",
    ("dpm_2", "karras"): "dpm2_karras",
    ("dpm_2_ancestral", "exponential"): "dpm2_a_exponential",
    ("dpmpp_sde_gpu", "karras"): "dpm++_sde_karras",
    ("dpmpp_2m", "beta"): "dpm++_2m_beta",
    ("dpmpp_2m_sde_gpu", "sgm_uniform"): "dpm++_2m_sde_sgm_uniform",
    ("dpmpp_3m_sde", "ddim_uniform"): "dpm++_3m_sde",
    ("uni_pc_bh2", None): "unipc",
}
INVOKEAI = {
    "euler_k": "euler_karras",
    "euler_a": "euler_a",
    "kdpm_2": "dpm2",
    "kdpm_2_a_k": "dpm2_a_karras",
    "dpmpp_2s_k": "dpm++_2s_karras",
    "dpmpp_2m_sde_k": "dpm++_2m_sde_karras",
    "unipc_k": "unipc_karras",
    "lms": "lms",
}
OTHERS = {
    "DPM++ 2M Karras": "dpm++_2m_karras",
    "DPM++ 2M SDE Heun Exponential": "dpm++_2m_sde_heun_exponential",
    "Euler a": "euler_a",
    "PLMS": "pndm",
    "k_euler_ancestral": "euler_a",
    "sample_euler": "euler",
    "sample_dpmpp_2m": "dpm++_2m",
}


@pytest.mark.parametrize(("theirs", "ours"), COMFYUI.items())
def test_comfyuis_samplers_with_their_schedules_are_known_here(theirs: tuple[str, str | None], ours: str) -> None:
    assert check_sampler(from_comfyui(*theirs), MANY, "") == ours


@pytest.mark.parametrize(("theirs", "ours"), INVOKEAI.items())
def test_invokeais_samplers_are_known_here_as_they_are_and_as_the_importer_spells_them(theirs: str, ours: str) -> None:
    assert check_sampler(theirs, MANY, "") == check_sampler(from_invokeai(theirs), MANY, "") == ours


@pytest.mark.parametrize(("theirs", "ours"), OTHERS.items())
def test_samplers_of_automatic1111_and_k_diffusion_are_known_here(theirs: str, ours: str) -> None:
    assert check_sampler(theirs, MANY, "") == ours


def test_every_spelling_means_the_same_to_an_engine_with_few_samplers() -> None:
    spellings = [name for names in (INVOKEAI, OTHERS) for name, meant in names.items() if meant in FEW]
    assert [check_sampler(name, FEW, "") for name in spellings] == [{**INVOKEAI, **OTHERS}[name] for name in spellings]
    assert len(spellings) > 5


@pytest.mark.parametrize(
    ("name", "known", "issue"),
    [
        ("eulr", FEW, "unknown sampler; did you mean 'euler'? all of them"),
        ("heun", FEW, "not among the samplers here; all of them"),
        ("uni_pc", MANY, "near it: 'unipc'"),
        ("uni_pc", FEW, "without noise; all of them"),
        ("DPM++ 2S a Karras", MANY, "near it: 'dpm2_a', 'euler_a'"),
        ("DPM++ 2S a", FEW, "near it: 'euler_a'"),
    ],
)
def test_a_sampler_that_an_engine_has_not_is_refused_with_the_nearest_that_it_has(
    name: str, known: tuple[str, ...], issue: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_sampler(name, known, "all of them")
    assert refused.value.message == f"Unknown sampler '{name}'"
    assert refused.value.details["field"] == "sampler"
    assert str(refused.value.details["issue"]).endswith(issue)


def test_a_class_of_diffusers_means_its_plainest_sampler() -> None:
    assert sampler_of("DPMSolverMultistepScheduler") == "dpm++_2m"
    assert sampler_of("EulerAncestralDiscreteScheduler") == "euler_a"
    assert sampler_of("FlowMatchEulerDiscreteScheduler") is None

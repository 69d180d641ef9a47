"""Samplers by their common names, and the spellings of other tools.

The names follow diffusers' own table (https://huggingface.co/docs/diffusers/api/schedulers/overview). Names of
AUTOMATIC1111 (`DPM++ 2M Karras`), ComfyUI (`dpmpp_2m_sde_gpu`), InvokeAI (`kdpm_2_a_k`) and k-diffusion
(`sample_euler`, `k_euler_ancestral`) all lead here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from visioncraft import InvalidRequest

SAMPLERS: Mapping[str, str] = {
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "lms": "LMSDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm2": "KDPM2DiscreteScheduler",
    "dpm2_a": "KDPM2AncestralDiscreteScheduler",
    "dpm++_2m": "DPMSolverMultistepScheduler",
    "dpm++_2m_sde_heun": "DPMSolverMultistepScheduler",
    "dpm++_2m_sde": "DPMSolverMultistepScheduler",
    "dpm++_3m": "DPMSolverMultistepScheduler",
    "dpm++_3m_sde": "DPMSolverMultistepScheduler",
    "dpm++_2s": "DPMSolverSinglestepScheduler",
    "dpm++_sde": "DPMSolverSinglestepScheduler",
    "deis": "DEISMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "lcm": "LCMScheduler",
    "tcd": "TCDScheduler",
}
"""Every sampler that has a name here, with the class that a model's `scheduler_config.json` names for it."""

SCHEDULES = ("karras", "exponential", "beta", "lu", "sgm_uniform")
"""Noise schedules, which stand behind a sampler's name: `euler_karras`."""

_ALIASES: Mapping[str, str] = {
    "plms": "pndm",
    "euler_ancestral": "euler_a",
    "dpm_2": "dpm2",
    "dpm_2_a": "dpm2_a",
    "dpm_2_ancestral": "dpm2_a",
    "dpm2_ancestral": "dpm2_a",
    "dpm++": "dpm++_2m",
    "uni_pc_bh2": "unipc",
}
_ON_GPU = "_gpu"  # ComfyUI: the same sampler with noise from the GPU
_KARRAS, _KDPM = "_k", ("kdpm", "dpm")  # InvokeAI: `dpmpp_2m_k`, `kdpm_2`
_ANCESTRAL = "it adds noise at each step, which 'dpm++_2s' does not"
_ELSEWHERE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "dpm++_2s_a": (_ANCESTRAL, ("dpm2_a", "euler_a")),
    "dpm++_2s_ancestral": (_ANCESTRAL, ("dpm2_a", "euler_a")),
    "uni_pc": ("ComfyUI's is the variant bh1, which does not end in a picture without noise", ("unipc",)),
}
"""Samplers of other tools that no engine here has: why, and what comes near. None of those draws the same image."""


def split_sampler(name: str) -> tuple[str, str]:
    """Splits a sampler's name, in any spelling, into its common name and its noise schedule, which may be empty."""
    spelled = _spelled(name)
    for schedule in SCHEDULES:
        if spelled.endswith(f"_{schedule}"):
            base = spelled.removesuffix(f"_{schedule}")
            return _ALIASES.get(base, base), schedule
    return _ALIASES.get(spelled, spelled), ""


def check_sampler(name: str, known: Collection[str], listed: str) -> str:
    """Finds the one spelling of a sampler's name, as `dpm++_2m_karras` for `DPM++ 2M Karras`.

    Args:
        name: The name as a client spells it.
        known: The samplers of the engine that is to draw, each with the noise schedules that it takes.
        listed: A sentence with all of them, for people.

    Returns:
        One of `known`.

    Raises:
        InvalidRequest: The engine has no such sampler. The error names the nearest one and all that there are.
    """
    base, schedule = split_sampler(name)
    spelled = f"{base}_{schedule}" if schedule else base
    if spelled in known:
        return spelled
    issue = _issue(base, spelled, known, listed)
    raise InvalidRequest(f"Unknown sampler '{name[:60]}'", field="sampler", issue=issue)


def sampler_of(class_name: str) -> str | None:
    """Returns the sampler that a class of diffusers is without further settings; None for a class without a name."""
    return next((name for name, each in SAMPLERS.items() if each == class_name), None)


def from_comfyui(sampler: str, scheduler: object) -> str:
    """Returns the name of a sampler that ComfyUI keeps apart from its noise schedule: `dpmpp_2m` and `karras`.

    Args:
        sampler: The node's `sampler_name`. With `_gpu` behind it, it is the same with noise from the GPU.
        scheduler: The node's `scheduler`. One that is not among `SCHEDULES`, as `normal`, is the sampler's own or has
            no name here.
    """
    name = sampler.removesuffix(_ON_GPU)
    return f"{name}_{scheduler}" if scheduler in SCHEDULES else name


def from_invokeai(scheduler: str) -> str:
    """Returns the name of a sampler that InvokeAI calls `kdpm_2_a_k`, as other tools call it: `dpm_2_a_karras`."""
    karras = scheduler.endswith(_KARRAS)
    return scheduler.removesuffix(_KARRAS).replace(*_KDPM) + ("_karras" if karras else "")


def _spelled(name: str) -> str:
    """The name in lower case with underscores, without the prefixes and suffixes that other tools add."""
    spelled = re.sub(r"[\s\-]+", "_", name.strip().lower()).replace("dpmpp", "dpm++")
    spelled = spelled.removeprefix("k_").removeprefix("sample_")
    return from_invokeai(spelled.removesuffix(_ON_GPU))


def _issue(base: str, spelled: str, known: Collection[str], listed: str) -> str:
    if base in _ELSEWHERE:
        reason, peers = _ELSEWHERE[base]
        near = [f"'{each}'" for each in peers if each in known]
        return f"not among the samplers here: {reason}; " + (f"near it: {', '.join(near)}" if near else listed)
    names = [*known, *(alias for alias, meant in _ALIASES.items() if meant in known)]
    near = get_close_matches(spelled[:60], names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{'not among the samplers here' if base in SAMPLERS else 'unknown sampler'}; {hint}{listed}"

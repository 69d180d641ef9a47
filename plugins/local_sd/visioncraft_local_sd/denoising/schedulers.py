"""Samplers by their common names: diffusers' scheduler classes and what of their configuration each name means.

The table follows diffusers' own (https://huggingface.co/docs/diffusers/api/schedulers/overview); names of AUTOMATIC1111
(`DPM++ 2M Karras`), ComfyUI (`dpmpp_2m`) and k-diffusion (`k_euler_ancestral`) all lead here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any

from visioncraft import InvalidRequest

_LATENT: Mapping[str, Any] = {"clip_sample": False, "thresholding": False}  # both are for pixels, not for latents
_USUAL: Mapping[str, Mapping[str, Any]] = {
    "DPMSolverMultistepScheduler": {"solver_type": "midpoint"},
    "DPMSolverSinglestepScheduler": {"solver_type": "midpoint"},
    "DEISMultistepScheduler": {"solver_order": 2},
    "UniPCMultistepScheduler": {"solver_order": 2, "solver_type": "bh2"},
}
"""What a name means of its class beside the table below, whatever the model's own scheduler says of itself."""

_SAMPLERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "lms": ("LMSDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm++_2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "dpm++_2m_sde_heun": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "solver_type": "heun"},
    ),
    "dpm++_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}),
    "dpm++_3m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 3}),
    "dpm++_3m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 3}),
    "dpm++_2s": ("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "dpm++_sde": ("DPMSolverSinglestepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}),
    "deis": ("DEISMultistepScheduler", {"algorithm_type": "deis"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}

_SCHEDULES: Mapping[str, tuple[str, Any]] = {
    "karras": ("use_karras_sigmas", True),
    "exponential": ("use_exponential_sigmas", True),
    "beta": ("use_beta_sigmas", True),
    "lu": ("use_lu_lambdas", True),
    "sgm_uniform": ("timestep_spacing", "trailing"),
}
_TELLING = ("algorithm_type", "solver_order", "solver_type")  # what tells samplers of one class apart

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

_ELSEWHERE: Mapping[str, str] = {
    "dpm++_2s_a": "it adds noise at each step, which 'dpm++_2s' does not; 'dpm2_a' and 'euler_a' do",
    "dpm++_2s_ancestral": "it adds noise at each step, which 'dpm++_2s' does not; 'dpm2_a' and 'euler_a' do",
    "uni_pc": "ComfyUI's is the variant bh1, which diffusers cannot end in a picture without noise; 'unipc' is bh2",
}
"""Samplers of other tools that diffusers does not have, and what comes near; none of them draws the same picture."""


def sampler_names() -> list[str]:
    """Every name without a noise schedule; most take `_karras` or another of `schedule_names` behind it."""
    return sorted(_SAMPLERS)


def schedule_names() -> list[str]:
    """Every noise schedule, for behind a sampler's name."""
    return list(_SCHEDULES)


def check_sampler(name: str) -> str:
    """The one spelling of a sampler's name, as `dpm++_2m_karras` for `DPM++ 2M Karras`. Needs no torch.

    Raises `InvalidRequest` for an unknown name, naming the nearest and all that are known.
    """
    base, schedule = _split(name)
    if base in _SAMPLERS:
        return f"{base}_{schedule}" if schedule else base
    if base in _ELSEWHERE:
        issue = f"not among the samplers here: {_ELSEWHERE[base]}"
        raise InvalidRequest(f"Unknown sampler '{name[:60]}'", field="sampler", issue=issue)
    known = [*_SAMPLERS, *_ALIASES, *(f"{one}_{two}" for one in _SAMPLERS for two in _SCHEDULES)]
    near = get_close_matches(_spell(name)[:60], known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    names = f"known: {', '.join(sampler_names())}, most also with _{', _'.join(schedule_names())}"
    raise InvalidRequest(f"Unknown sampler '{name[:60]}'", field="sampler", issue=f"unknown sampler; {hint}{names}")


def build_scheduler(name: str | None, own: Any) -> Any:
    """A scheduler of its own for one run.

    Parameters
    ----------
    name: The sampler by its common name; None for the model's own.
    own: The model's scheduler, whose noise schedule (betas, prediction type) the new one takes over.

    Raises `InvalidRequest` for an unknown name, or a noise schedule the sampler does not have.
    """
    if name is None:
        return type(own).from_config(own.config)
    import diffusers

    base, schedule = _split(check_sampler(name))
    class_name, config = _SAMPLERS[base]
    scheduler_class = getattr(diffusers, class_name)
    accepted = signature(scheduler_class.__init__).parameters
    # A checkpoint's config may itself ask for Karras sigmas: a sampler's plain name means its plain schedule.
    flags = {flag: False for flag, value in _SCHEDULES.values() if value is True}
    if schedule:
        flags |= dict([_SCHEDULES[schedule]])
    if schedule and _SCHEDULES[schedule][0] not in accepted:
        raise InvalidRequest(
            f"Sampler '{base}' has no {schedule} schedule", field="sampler", issue=f"use '{base}', or another sampler"
        )
    named = {**_LATENT, **_USUAL.get(class_name, {}), **flags, **config}
    wanted = {key: value for key, value in named.items() if key in accepted}
    return scheduler_class.from_config(own.config, **wanted)


def name_of(scheduler: Any) -> str:
    """The common name of a scheduler, or its class's name where it has none."""
    for base, (class_name, config) in _SAMPLERS.items():
        if class_name == type(scheduler).__name__ and _same_algorithm(scheduler, config):
            used = [word for word, (flag, value) in _SCHEDULES.items() if value is True and scheduler.config.get(flag)]
            return "_".join([base, *used])
    return type(scheduler).__name__


def _same_algorithm(scheduler: Any, config: Mapping[str, Any]) -> bool:
    return all(scheduler.config.get(name) == config[name] for name in _TELLING if name in config)


def _split(name: str) -> tuple[str, str]:
    """The sampler's own name and its noise schedule, '' for none."""
    spelled = _spell(name)
    for schedule in _SCHEDULES:
        if spelled.endswith(f"_{schedule}"):
            base = spelled.removesuffix(f"_{schedule}")
            return _ALIASES.get(base, base), schedule
    return _ALIASES.get(spelled, spelled), ""


def _spell(name: str) -> str:
    spelled = re.sub(r"[\s\-]+", "_", name.strip().lower()).replace("dpmpp", "dpm++")
    return spelled.removeprefix("k_").removeprefix("sample_")

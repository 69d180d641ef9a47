"""What a sampler's name means of the configuration of its class in diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from visioncraft import InvalidRequest
from visioncraft_diffusion import samplers
from visioncraft_diffusion.samplers import SAMPLERS, SCHEDULES, split_sampler

_LATENT: Mapping[str, Any] = {"clip_sample": False, "thresholding": False}  # both are for pixels, not for latents
_USUAL: Mapping[str, Mapping[str, Any]] = {
    "DPMSolverMultistepScheduler": {"solver_type": "midpoint"},
    "DPMSolverSinglestepScheduler": {"solver_type": "midpoint"},
    "DEISMultistepScheduler": {"solver_order": 2},
    "UniPCMultistepScheduler": {"solver_order": 2, "solver_type": "bh2"},
}
"""What a name means of its class beside the table below, whatever the model's own scheduler says of itself."""

_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "pndm": {"skip_prk_steps": True},
    "dpm++_2m": {"algorithm_type": "dpmsolver++", "solver_order": 2},
    "dpm++_2m_sde_heun": {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "solver_type": "heun"},
    "dpm++_2m_sde": {"algorithm_type": "sde-dpmsolver++", "solver_order": 2},
    "dpm++_3m": {"algorithm_type": "dpmsolver++", "solver_order": 3},
    "dpm++_3m_sde": {"algorithm_type": "sde-dpmsolver++", "solver_order": 3},
    "dpm++_2s": {"algorithm_type": "dpmsolver++", "solver_order": 2},
    "dpm++_sde": {"algorithm_type": "sde-dpmsolver++", "solver_order": 2},
    "deis": {"algorithm_type": "deis"},
}
"""What tells the samplers of one class apart, and what else their names mean."""

_SCHEDULES: Mapping[str, tuple[str, Any]] = {
    "karras": ("use_karras_sigmas", True),
    "exponential": ("use_exponential_sigmas", True),
    "beta": ("use_beta_sigmas", True),
    "lu": ("use_lu_lambdas", True),
    "sgm_uniform": ("timestep_spacing", "trailing"),
}
_TELLING = ("algorithm_type", "solver_order", "solver_type")  # what tells samplers of one class apart

_KNOWN = frozenset(SAMPLERS) | {f"{name}_{schedule}" for name in SAMPLERS for schedule in SCHEDULES}


def sampler_names() -> list[str]:
    """Every name without a noise schedule; most take `_karras` or another of `SCHEDULES` behind it."""
    return sorted(SAMPLERS)


def check_sampler(name: str, offered: Sequence[str] = ()) -> str:
    """The one spelling of a sampler's name, as `dpm++_2m_karras` for `DPM++ 2M Karras`. Needs no torch.

    Args:
        offered: What the model samples with; empty for all that there are.

    Raises `InvalidRequest` for an unknown name, naming the nearest and all that are known.
    """
    if offered:
        return samplers.check_sampler(name, offered, f"this model's: {', '.join(offered)}")
    listed = f"known: {', '.join(sampler_names())}, most also with _{', _'.join(SCHEDULES)}"
    return samplers.check_sampler(name, _KNOWN, listed)


def build_scheduler(name: str | None, own: Any) -> Any:
    """A scheduler of its own for one run.

    Args:
        name: The sampler by its common name; None for the model's own.
        own: The model's scheduler, whose noise schedule (betas, prediction type) the new one takes over.

    Raises `InvalidRequest` for an unknown name, or a noise schedule the sampler does not have.
    """
    if name is None:
        return type(own).from_config(own.config)
    import diffusers

    base, schedule = split_sampler(check_sampler(name))
    class_name = SAMPLERS[base]
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
    named = {**_LATENT, **_USUAL.get(class_name, {}), **flags, **_CONFIGS.get(base, {})}
    wanted = {key: value for key, value in named.items() if key in accepted}
    return scheduler_class.from_config(own.config, **wanted)


def name_of(scheduler: Any) -> str:
    """The common name of a scheduler, or its class's name where it has none."""
    for base, class_name in SAMPLERS.items():
        if class_name == type(scheduler).__name__ and _same_algorithm(scheduler, _CONFIGS.get(base, {})):
            used = [word for word, (flag, value) in _SCHEDULES.items() if value is True and scheduler.config.get(flag)]
            return "_".join([base, *used])
    return type(scheduler).__name__


def _same_algorithm(scheduler: Any, config: Mapping[str, Any]) -> bool:
    return all(scheduler.config.get(name) == config[name] for name in _TELLING if name in config)

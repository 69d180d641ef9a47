"""Samplers by their common names, and the one a model's own configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from visioncraft_diffusion import samplers

from visioncraft_local_onnx.sampling.base import Sampler
from visioncraft_local_onnx.sampling.samplers import DDIM, DPM2M, LCM, PNDM, Euler, EulerAncestral
from visioncraft_local_onnx.sampling.schedule import Schedule

Build = Callable[[Schedule, int], Sampler]

_SAMPLERS: Mapping[str, Build] = {
    "ddim": DDIM,
    "dpm++_2m": DPM2M,
    "dpm++_2m_karras": lambda schedule, steps: DPM2M(schedule, steps, spaced=True),
    "euler": Euler,
    "euler_a": EulerAncestral,
    "euler_karras": lambda schedule, steps: Euler(schedule, steps, spaced=True),
    "lcm": LCM,
    "pndm": PNDM,
}


def sampler_names() -> list[str]:
    """Every name there is."""
    return sorted(_SAMPLERS)


def check_sampler(name: str) -> str:
    """The one spelling of a sampler's name: `dpm++_2m_karras` for `DPM++ 2M Karras`, `dpmpp_2m_karras` or `k_...`.

    Raises `InvalidRequest` for a name that is not here, with the nearest one that is.
    """
    return samplers.check_sampler(name, _SAMPLERS, f"ONNX Runtime draws with {', '.join(sampler_names())}")


def is_known(config: Mapping[str, Any]) -> bool:
    """Whether the sampler of a model's `scheduler_config.json` is here."""
    return samplers.sampler_of(str(config.get("_class_name"))) in _SAMPLERS


def own_sampler(config: Mapping[str, Any]) -> str:
    """The sampler of a model's `scheduler_config.json`; `dpm++_2m` stands in for one that is not here."""
    named = samplers.sampler_of(str(config.get("_class_name")))
    name = named if named is not None and named in _SAMPLERS else "dpm++_2m"
    spaced = f"{name}_karras"
    return spaced if config.get("use_karras_sigmas") and spaced in _SAMPLERS else name


def build_sampler(name: str | None, schedule: Schedule, steps: int) -> Sampler:
    """A sampler for one run.

    Args:
        name: As `check_sampler` spells it; None for the model's own.
    """
    if name is None and own_sampler(schedule.config) == "ddim":
        # Only the model's own sampler clips as its configuration says: the setting is meant for pixels.
        return DDIM(schedule, steps, clip=bool(schedule.config.get("clip_sample", True)))
    return _SAMPLERS[name or own_sampler(schedule.config)](schedule, steps)

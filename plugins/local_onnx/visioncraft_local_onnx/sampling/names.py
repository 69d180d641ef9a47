"""Samplers by their common names, and the one a model's own configuration asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from visioncraft import InvalidRequest

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
_ALSO: Mapping[str, str] = {"euler_ancestral": "euler_a", "plms": "pndm", "dpm++": "dpm++_2m"}
_CLASSES: Mapping[str, str] = {
    "DDIMScheduler": "ddim",
    "DPMSolverMultistepScheduler": "dpm++_2m",
    "EulerDiscreteScheduler": "euler",
    "EulerAncestralDiscreteScheduler": "euler_a",
    "LCMScheduler": "lcm",
    "PNDMScheduler": "pndm",
}


def sampler_names() -> list[str]:
    """Every name there is."""
    return sorted(_SAMPLERS)


def check_sampler(name: str) -> str:
    """The one spelling of a sampler's name: `dpm++_2m_karras` for `DPM++ 2M Karras`, `dpmpp_2m_karras` or `k_...`.

    Raises `InvalidRequest` for a name that is not here, with the nearest one that is.
    """
    words = re.sub(r"[\s-]+", "_", name.strip().lower()).removeprefix("k_").replace("dpmpp", "dpm++")
    found = _ALSO.get(words, words)
    if found in _SAMPLERS:
        return found
    near = get_close_matches(found[:60], _SAMPLERS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"ONNX Runtime draws with {', '.join(sampler_names())}"
    raise InvalidRequest(f"Unknown sampler '{name[:60]}'", field="sampler", issue=f"unknown sampler; {hint}")


def is_known(config: Mapping[str, Any]) -> bool:
    """Whether the sampler of a model's `scheduler_config.json` is here."""
    return str(config.get("_class_name")) in _CLASSES


def own_sampler(config: Mapping[str, Any]) -> str:
    """The sampler of a model's `scheduler_config.json`; `dpm++_2m` stands in for one that is not here."""
    name = _CLASSES.get(str(config.get("_class_name")), "dpm++_2m")
    spaced = f"{name}_karras"
    return spaced if config.get("use_karras_sigmas") and spaced in _SAMPLERS else name


def build_sampler(name: str | None, schedule: Schedule, steps: int) -> Sampler:
    """A sampler for one run.

    Parameters
    ----------
    name: As `check_sampler` spells it; None for the model's own.
    """
    if name is None and own_sampler(schedule.config) == "ddim":
        # Only the model's own sampler clips as its configuration says: the setting is meant for pixels.
        return DDIM(schedule, steps, clip=bool(schedule.config.get("clip_sample", True)))
    return _SAMPLERS[name or own_sampler(schedule.config)](schedule, steps)

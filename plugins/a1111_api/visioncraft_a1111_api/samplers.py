"""Samplers and schedulers as AUTOMATIC1111 spells them, from the samplers' common names and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from visioncraft import InvalidRequest, ModelInfo
from visioncraft_diffusion.samplers import SAMPLERS, SCHEDULES, check_sampler, split_sampler

from visioncraft_a1111_api.errors import SamplerNotFound

_NAMES: Mapping[str, str] = {
    "euler_a": "Euler a",
    "euler": "Euler",
    "lms": "LMS",
    "heun": "Heun",
    "dpm2": "DPM2",
    "dpm2_a": "DPM2 a",
    "dpm++_2m": "DPM++ 2M",
    "dpm++_sde": "DPM++ SDE",
    "dpm++_2m_sde": "DPM++ 2M SDE",
    "dpm++_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpm++_3m_sde": "DPM++ 3M SDE",
    "ddim": "DDIM",
    "pndm": "PLMS",
    "unipc": "UniPC",
    "lcm": "LCM",
}
_SCHEDULER_LABELS: Mapping[str, str] = {
    "automatic": "Automatic",
    "uniform": "Uniform",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "beta": "Beta",
}
_AUTOMATIC: Mapping[str, str] = {
    "dpm2": "karras",
    "dpm2_a": "karras",
    "dpm++_2m": "karras",
    "dpm++_sde": "karras",
    "dpm++_2m_sde": "exponential",
    "dpm++_2m_sde_heun": "exponential",
    "dpm++_3m_sde": "exponential",
}
"""The schedule that AUTOMATIC1111 means by "Automatic", where it is not the sampler's plain one."""

_PLAIN = ("uniform", "normal", "use_same_scheduler")
_KARRAS_ALIAS = re.compile(r"_ka$")  # k_dpmpp_2m_ka


def documents(models: Sequence[ModelInfo]) -> list[dict[str, Any]]:
    """Returns `GET /samplers`: the samplers that any of these models takes."""
    bases = [base for base in (*_NAMES, *SAMPLERS) if any(base in _bases(model) for model in models)]
    return [_document(base) for base in dict.fromkeys(bases)]


def scheduler_documents() -> list[dict[str, Any]]:
    """Returns `GET /schedulers`."""
    return [
        {"name": name, "label": label, "aliases": None, "default_rho": -1.0, "need_inner_model": name == "sgm_uniform"}
        for name, label in _SCHEDULER_LABELS.items()
    ]


def spelled(name: str) -> tuple[str, str]:
    """Returns a sampler's common name as AUTOMATIC1111 writes it, and the label of its schedule."""
    base, schedule = split_sampler(name)
    return _NAMES.get(base, base.upper().replace("_", " ")), _SCHEDULER_LABELS.get(schedule, "Automatic")


def sampler_of(model: ModelInfo, name: str, scheduler: str, told: list[str]) -> str | None:
    """Finds what a model is to draw with.

    Args:
        model: Draws.
        name: The sampler as a client spells it; empty for the model's own.
        scheduler: Likewise; empty or `Automatic` for the sampler's own.
        told: Hears of a scheduler that is not used.

    Returns:
        The sampler's common name with its schedule; None for the model's own.

    Raises:
        SamplerNotFound: The model has no such sampler.
    """
    if not name.strip() or model.kind == "cloud":
        return None
    base, own = split_sampler(_KARRAS_ALIAS.sub("_karras", name.strip().lower()))
    known = model.samplers or tuple(SAMPLERS)
    bases = sorted(_bases(model))
    try:
        base = check_sampler(base, bases, f"known: {', '.join(bases)}")
    except InvalidRequest as error:
        raise SamplerNotFound(f"{error.message}: {error.details['issue']}") from error
    schedule = own or _schedule(base, scheduler, told)
    with_schedule = f"{base}_{schedule}"
    if not schedule or (model.samplers and with_schedule not in known):
        return base if base in known else next(each for each in known if split_sampler(each)[0] == base)
    return with_schedule


def _schedule(base: str, scheduler: str, told: list[str]) -> str:
    """The schedule that a client means; empty for the sampler's plain one."""
    word = re.sub(r"[\s\-]+", "_", scheduler.strip().lower())
    if word in ("", "automatic"):
        return _AUTOMATIC.get(base, "")
    if word in SCHEDULES:
        return word
    if word not in _PLAIN:
        told.append(f"there is no scheduler '{scheduler[:60]}' here; {base} is drawn with its own")
    return ""


def _bases(model: ModelInfo) -> set[str]:
    return {split_sampler(name)[0] for name in model.samplers} or set(SAMPLERS)


def _document(base: str) -> dict[str, Any]:
    alias = f"k_{base.replace('++', 'pp')}"
    schedule = _AUTOMATIC.get(base)
    return {"name": spelled(base)[0], "aliases": [alias], "options": {"scheduler": schedule} if schedule else {}}

"""Nodes that draw: KSampler and its kin, and the pieces of which Flux' and SD3's graphs put a sampler together."""

from __future__ import annotations

from typing import Any

from visioncraft_comfyui_api.graph.errors import NodeRefused
from visioncraft_comfyui_api.graph.spec import Given, Input, NodeClass, link, listed, number, one_of, whole
from visioncraft_comfyui_api.graph.values import Drawing, Drawn, Guider, Named, Sigmas

_MOST_SEED = 2**64 - 1


def _k_sampler(given: Given) -> tuple[Any, ...]:
    return (_drawn(given, "seed", float(given["denoise"])),)


def _k_sampler_advanced(given: Given) -> tuple[Any, ...]:
    """The sampler with steps left out at the front, which is how much of the noise comes back."""
    steps, start = int(given["steps"]), int(given["start_at_step"])
    if int(given["end_at_step"]) < steps:
        raise NodeRefused(given.node, "end_at_step", f"all steps are taken here: {steps} or more")
    if start >= steps:
        raise NodeRefused(given.node, "start_at_step", f"below the number of steps, {steps}")
    drawn = _drawn(given, "noise_seed", (steps - start) / steps, steps=steps - start)
    return (drawn,)


def _start(given: Given) -> Any:
    """What a drawing begins with: at most the result of one sampler, which is the first of two passes."""
    start = given["latent_image"]
    if isinstance(start, Drawn) and isinstance(start.drawing.start, Drawn):
        raise NodeRefused(given.node, "latent_image", "two passes at most: this would be the third sampler in a row")
    return start


def _drawn(given: Given, seed: str, strength: float, steps: int | None = None) -> Drawn:
    origins = {
        "seed": (given.node, seed),
        "num_inference_steps": (given.node, "steps"),
        "guidance_scale": (given.node, "cfg"),
        "sampler": (given.node, "sampler_name"),
        "strength": (given.node, "denoise" if given["denoise"] is not None else "start_at_step"),
    }
    drawing = Drawing(
        node=given.node,
        model=given["model"],
        positive=given["positive"],
        negative=given["negative"],
        start=_start(given),
        seed=int(given[seed]),
        steps=int(given["steps"]) if steps is None else steps,
        cfg=float(given["cfg"]),
        sampler=str(given["sampler_name"]),
        scheduler=str(given["scheduler"]),
        strength=strength,
        origins=origins,
    )
    return Drawn(drawing)


def _custom(given: Given) -> tuple[Any, ...]:
    if not given["add_noise"]:
        raise NodeRefused(given.node, "add_noise", "noise is always added here: true")
    noise = Named(given["noise_seed"], given.node)
    guider = Guider(given["model"], given["positive"], given["negative"], float(given["cfg"]), given.node)
    return _put_together(given, noise, guider, "noise_seed")


def _custom_advanced(given: Given) -> tuple[Any, ...]:
    return _put_together(given, given["noise"], given["guider"], "noise_seed")


def _put_together(given: Given, noise: Named, guider: Guider, seed: str) -> tuple[Any, ...]:
    sampler: Named = given["sampler"]
    sigmas: Sigmas = given["sigmas"]
    drawing = Drawing(
        node=given.node,
        model=guider.model,
        positive=guider.positive,
        negative=guider.negative,
        start=_start(given),
        seed=int(noise.value),
        steps=sigmas.steps,
        cfg=guider.cfg,
        sampler=str(sampler.value),
        scheduler=sigmas.scheduler,
        strength=sigmas.strength,
        origins={
            "seed": (noise.node, seed),
            "num_inference_steps": (sigmas.node, "steps"),
            "guidance_scale": (guider.node, "cfg"),
            "sampler": (sampler.node, "sampler_name"),
            "strength": (sigmas.node, "denoise"),
        },
    )
    return Drawn(drawing), Drawn(drawing)


def _noise(given: Given) -> tuple[Any, ...]:
    return (Named(int(given["noise_seed"]), given.node),)


def _sampler(given: Given) -> tuple[Any, ...]:
    return (Named(str(given["sampler_name"]), given.node),)


def _schedule(given: Given) -> tuple[Any, ...]:
    return (Sigmas(str(given["scheduler"]), int(given["steps"]), float(given["denoise"]), given.node),)


def _basic_guider(given: Given) -> tuple[Any, ...]:
    return (Guider(given["model"], given["conditioning"], None, None, given.node),)


def _cfg_guider(given: Given) -> tuple[Any, ...]:
    return (Guider(given["model"], given["positive"], given["negative"], float(given["cfg"]), given.node),)


_SEED, _STEPS, _CFG = whole(0, 0, _MOST_SEED), whole(20, 1, 1000), number(8.0, 0.0, 100.0, 0.1)
_SAMPLER, _SCHEDULER = listed("samplers"), listed("schedulers")
_DENOISE = number(1.0, 0.01, 1.0)
_GUIDED = {"positive": link("CONDITIONING"), "negative": link("CONDITIONING")}

SAMPLERS: dict[str, NodeClass] = {
    "KSampler": NodeClass(
        "KSampler",
        "sampling",
        {
            "model": link("MODEL"),
            "seed": _SEED,
            "steps": _STEPS,
            "cfg": _CFG,
            "sampler_name": _SAMPLER,
            "scheduler": _SCHEDULER,
            **_GUIDED,
            "latent_image": link("LATENT"),
            "denoise": _DENOISE,
        },
        {"LATENT": "LATENT"},
        _k_sampler,
    ),
    "KSamplerAdvanced": NodeClass(
        "KSampler (Advanced)",
        "sampling",
        {
            "model": link("MODEL"),
            "add_noise": one_of("enable"),
            "noise_seed": _SEED,
            "steps": _STEPS,
            "cfg": _CFG,
            "sampler_name": _SAMPLER,
            "scheduler": _SCHEDULER,
            **_GUIDED,
            "latent_image": link("LATENT"),
            "start_at_step": whole(0, 0, 10000),
            "end_at_step": whole(10000, 0, 10000),
            "return_with_leftover_noise": one_of("disable"),
        },
        {"LATENT": "LATENT"},
        _k_sampler_advanced,
    ),
    "SamplerCustom": NodeClass(
        "SamplerCustom",
        "sampling/custom_sampling",
        {
            "model": link("MODEL"),
            "add_noise": Input("BOOLEAN", True),
            "noise_seed": _SEED,
            "cfg": _CFG,
            **_GUIDED,
            "sampler": link("SAMPLER"),
            "sigmas": link("SIGMAS"),
            "latent_image": link("LATENT"),
        },
        {"output": "LATENT", "denoised_output": "LATENT"},
        _custom,
    ),
    "SamplerCustomAdvanced": NodeClass(
        "SamplerCustomAdvanced",
        "sampling/custom_sampling",
        {
            "noise": link("NOISE"),
            "guider": link("GUIDER"),
            "sampler": link("SAMPLER"),
            "sigmas": link("SIGMAS"),
            "latent_image": link("LATENT"),
        },
        {"output": "LATENT", "denoised_output": "LATENT"},
        _custom_advanced,
    ),
    "RandomNoise": NodeClass(
        "RandomNoise", "sampling/custom_sampling/noise", {"noise_seed": _SEED}, {"NOISE": "NOISE"}, _noise
    ),
    "KSamplerSelect": NodeClass(
        "KSamplerSelect",
        "sampling/custom_sampling/samplers",
        {"sampler_name": _SAMPLER},
        {"SAMPLER": "SAMPLER"},
        _sampler,
    ),
    "BasicScheduler": NodeClass(
        "BasicScheduler",
        "sampling/custom_sampling/schedulers",
        {"model": link("MODEL"), "scheduler": _SCHEDULER, "steps": _STEPS, "denoise": _DENOISE},
        {"SIGMAS": "SIGMAS"},
        _schedule,
    ),
    "BasicGuider": NodeClass(
        "BasicGuider",
        "sampling/custom_sampling/guiders",
        {"model": link("MODEL"), "conditioning": link("CONDITIONING")},
        {"GUIDER": "GUIDER"},
        _basic_guider,
    ),
    "CFGGuider": NodeClass(
        "CFGGuider",
        "sampling/custom_sampling/guiders",
        {"model": link("MODEL"), **_GUIDED, "cfg": _CFG},
        {"GUIDER": "GUIDER"},
        _cfg_guider,
    ),
}
"""Samplers. Values that would leave noise in the image or take a part of the steps are not among their choices."""

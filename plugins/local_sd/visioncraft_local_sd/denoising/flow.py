"""Flow matching: one noise level a row, and steps along a straight line from noise to the image.

diffusers' scheduler for it has no `scale_model_input`, no `init_noise_sigma` and no `add_noise`: the latents go to the
network as they are, a drawing begins in noise as it is drawn, and `scale_noise` mixes an image with noise.
"""

from __future__ import annotations

from typing import Any

import torch
from visioncraft_diffusion.samplers import split_sampler

from visioncraft_local_sd.denoising.run import DenoisingRun

_FLAGS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas", "beta": "use_beta_sigmas"}


class FlowRun(DenoisingRun):
    """The state of one request.

    Args:
        shift: What the scheduler shifts noise levels by, where it does so by an image's size; others ignore it.
        more: As `DenoisingRun` takes it.
    """

    def __init__(self, *, shift: float, **more: Any) -> None:
        self._shift = shift
        super().__init__(**more)

    def noised(self, latents: torch.Tensor) -> torch.Tensor:
        timestep = self.timesteps[self.index : self.index + 1]
        noised: torch.Tensor = self.scheduler.scale_noise(latents, timestep, self.noise)
        return noised

    def _schedule(self, steps: int) -> None:
        levels = torch.linspace(1.0, 1 / steps, steps).tolist()
        self.scheduler.set_timesteps(sigmas=levels, mu=self._shift)

    def _scaled(self, timestep: torch.Tensor) -> torch.Tensor:
        return self.latents

    def _noise_alone(self) -> torch.Tensor:
        return self.noise


def flow_scheduler(name: str | None, own: Any) -> Any:
    """A scheduler of its own for one run.

    Args:
        name: One of `families.flow.SAMPLERS`; None for the model's own.
        own: The model's scheduler.
    """
    if name is None:
        return type(own).from_config(own.config)
    schedule = split_sampler(name)[1]
    return type(own).from_config(own.config, **{flag: word == schedule for word, flag in _FLAGS.items()})


def flow_sampler(scheduler: Any) -> str:
    """The common name of such a scheduler."""
    return "_".join(["euler", *(word for word, flag in _FLAGS.items() if scheduler.config.get(flag))])


def shift_of(scheduler: Any, tokens: int) -> float:
    """By how much noise levels are shifted for an image of so many tokens, as diffusers' pipelines reckon it."""
    few, many = scheduler.config.get("base_image_seq_len", 256), scheduler.config.get("max_image_seq_len", 4096)
    least, most = scheduler.config.get("base_shift", 0.5), scheduler.config.get("max_shift", 1.15)
    slope = (most - least) / (many - few)
    return float(tokens * slope + (least - slope * few))

"""One request's way through its steps: its own sampler state, noise, guidance and place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from visioncraft import steps_taken

from visioncraft_local_sd.denoising.denoiser import Branch, Denoiser, DenoiserCall

Guide = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""From what the denoiser says without the text, what it says with it, and the guidance scale to what is drawn."""


def past_without(without: torch.Tensor, told: torch.Tensor, scale: float) -> torch.Tensor:
    """Classifier-free guidance (https://arxiv.org/abs/2207.12598): a scale of 1 is the text's own prediction."""
    return without + scale * (told - without)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a drawing begins that does not begin in noise alone.

    Args:
        latents: The picture to begin from, as the VAE encodes it and scaled by its factor: fp32, (1, channels, height,
            width).
        strength: The share of the steps to take, over 0 to 1: 1 forgets the picture.
        after_step: Called after every step; may replace `latents` of the sampling, as a mask that keeps parts of a
            picture does.
        noise_only: Whether it begins in noise alone all the same: `after_step` puts back what is to stay.
    """

    latents: torch.Tensor
    strength: float = 1.0
    after_step: Callable[[DenoisingRun], None] | None = None
    noise_only: bool = False


class DenoisingRun:
    """The state of one request.

    Args:
        scheduler: Its own diffusers scheduler, fresh.
        steps: Denoising steps asked for.
        guidance: The guidance scale; counts only with two branches.
        branches: See `DenoiserCall`.
        noise: Drawn on the CPU in fp32, so that a seed means the same picture on every device: (1, channels, height,
            width).
        generator: Goes on where `noise` ended, for samplers that add noise at each step.
        device: Where the denoiser is.
        start: A picture to begin from.
        guide: What guidance means here.
    """

    def __init__(
        self,
        scheduler: Any,
        steps: int,
        guidance: float,
        branches: tuple[Branch, ...],
        noise: torch.Tensor,
        generator: torch.Generator,
        device: str,
        start: Start | None = None,
        guide: Guide = past_without,
    ) -> None:
        self.scheduler = scheduler
        self.steps = steps
        self.branches = branches
        self.noise = noise.to(device)
        self.index = 0
        self._guidance, self._guide = guidance, guide
        self._after_step = start.after_step if start is not None else None
        self._options = _step_options(scheduler, generator)
        self._schedule(steps)
        self.timesteps = scheduler.timesteps
        self._begin_at(0)
        self.latents = self._begun(start) if start is not None else self._noise_alone()
        self._told = self.timesteps.float().to(device)

    @property
    def ended(self) -> bool:
        """Whether there is no step left."""
        return self.index == len(self.timesteps)

    @property
    def done(self) -> int:
        """How many of the steps asked for are done.

        Second-order samplers call the denoiser about twice a step, PNDM once more than asked, so calls are scaled.
        """
        return self.index * self.steps // len(self.timesteps)

    def ask(self, denoiser: Denoiser) -> DenoiserCall:
        """What the next step needs to know."""
        timestep = self.timesteps[self.index]
        embedded = denoiser.embedded(self._guidance)
        return DenoiserCall(denoiser, self._scaled(timestep), self._told[self.index], self.branches, embedded)

    def advance(self, prediction: torch.Tensor) -> None:
        """Take a step with the denoiser's answer to `ask`."""
        if len(self.branches) == 2:
            without, told = prediction.chunk(2)
            prediction = self._guide(without, told, self._guidance)
        timestep = self.timesteps[self.index]
        self.latents = self.scheduler.step(prediction, timestep, self.latents, **self._options, return_dict=False)[0]
        self.index += 1
        if self._after_step is not None:
            self._after_step(self)

    def noised(self, latents: torch.Tensor) -> torch.Tensor:
        """An image's latents with as much noise as the next step expects."""
        timestep = self.timesteps[self.index : self.index + 1]
        noised: torch.Tensor = self.scheduler.add_noise(latents, self.noise, timestep)
        return noised

    def _schedule(self, steps: int) -> None:
        """Have the sampler lay out its steps: on the CPU, since looked up on a GPU each would be waited for."""
        self.scheduler.set_timesteps(steps)

    def _scaled(self, timestep: torch.Tensor) -> torch.Tensor:
        """The latents as the denoiser reads them."""
        scaled: torch.Tensor = self.scheduler.scale_model_input(self.latents, timestep)
        return scaled

    def _noise_alone(self) -> torch.Tensor:
        """Where a drawing begins that begins in noise alone."""
        alone: torch.Tensor = self.noise * self.scheduler.init_noise_sigma
        return alone

    def _begin_at(self, call: int) -> None:
        """Say which call of the schedule comes first.

        Left to find it by its timestep, schedulers take the second of two noise levels that round to one timestep, as
        the first ones of `karras` do from 21 steps on, and run over their end.
        """
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(call)

    def _begun(self, start: Start) -> torch.Tensor:
        """The picture with as much noise as the first step that is taken expects; steps before it are left out."""
        order = getattr(self.scheduler, "order", 1)
        left_out = self.steps - steps_taken(self.steps, start.strength)
        self.timesteps = self.timesteps[left_out * order :]
        self.steps -= left_out
        self._begin_at(left_out * order)
        return self._noise_alone() if start.noise_only else self.noised(start.latents.to(self.noise.device))


def _step_options(scheduler: Any, generator: torch.Generator) -> dict[str, Any]:
    """What diffusers' pipelines hand to a scheduler's step beside the prediction."""
    accepted = signature(scheduler.step).parameters
    return {name: value for name, value in (("eta", 0.0), ("generator", generator)) if name in accepted}

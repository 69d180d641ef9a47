"""What all samplers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visioncraft_local_onnx.arrays import Floats
from visioncraft_local_onnx.sampling.schedule import Schedule, karras, timesteps_of

Draw = Callable[[], Floats]
"""Draws noise of the latents' shape."""


class Sampler(ABC):
    """One run's way from noise to latents. Holds the run's state: a sampler is used once.

    Args:
        schedule: The model's.
        steps: How many the request wants.
    """

    spacing = "leading"
    """How steps are spaced where the model's configuration does not say it."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        self.schedule = schedule
        self.steps = steps
        self.timesteps: Any = np.empty(0)
        """What the denoiser is told at each of its calls, one by one."""
        self.start_scale = np.float32(1)
        """What the first noise is multiplied by."""

    def scale_input(self, latents: Floats, call: int) -> Floats:
        """The latents as the denoiser is shown them at its `call`-th call."""
        return latents

    @abstractmethod
    def step(self, output: Floats, call: int, latents: Floats, draw: Draw) -> Floats:
        """The latents after the denoiser's `call`-th call.

        Args:
            output: What the denoiser answered, guidance applied.
            draw: Where fresh noise comes from, for samplers that add some.
        """

    @abstractmethod
    def noised(self, clean: Floats, noise: Floats, call: int) -> Floats:
        """Clean latents with as much noise as they have before the `call`-th call."""

    def _is(self, prediction: str) -> bool:
        return self.schedule.prediction == prediction


class AlphaSampler(Sampler):
    """A sampler that counts in shares of signal power, at whole training steps.

    Args:
        signal_at_end: Whether the last step leads to pure signal where the configuration does not say it.
        clip: Whether predictions are clipped to the configuration's range.
    """

    signal_at_end = True

    def __init__(self, schedule: Schedule, steps: int, clip: bool = False) -> None:
        super().__init__(schedule, steps)
        self.timesteps = np.round(schedule.timesteps(steps, self.spacing)).astype(np.int64)
        pure = schedule.config.get("set_alpha_to_one", self.signal_at_end)
        self._last = np.float32(1) if pure else schedule.alphas_bar[0]
        self._range = float(schedule.config.get("clip_sample_range", 1.0)) if clip else None

    def noised(self, clean: Floats, noise: Floats, call: int) -> Floats:
        alpha = self._alpha(int(self.timesteps[call]))
        return np.sqrt(alpha) * clean + np.sqrt(1 - alpha) * noise

    def _alpha(self, timestep: int) -> np.float32:
        return np.float32(self.schedule.alphas_bar[timestep] if timestep >= 0 else self._last)

    def _clean(self, output: Floats, latents: Floats, alpha: np.float32) -> Floats:
        """The picture's latents as the denoiser sees them now."""
        if self._is("epsilon"):
            clean = (latents - np.sqrt(1 - alpha) * output) / np.sqrt(alpha)
        elif self._is("v_prediction"):
            clean = np.sqrt(alpha) * latents - np.sqrt(1 - alpha) * output
        else:
            clean = output
        return clean if self._range is None else np.clip(clean, -self._range, self._range)


class SigmaSampler(Sampler):
    """A sampler that counts in sigmas, noise over signal.

    Args:
        spaced: Whether sigmas are spaced as Karras' paper has it instead of by training steps.
    """

    spacing = "linspace"

    def __init__(self, schedule: Schedule, steps: int, spaced: bool = False) -> None:
        super().__init__(schedule, steps)
        known = schedule.sigmas()
        self.timesteps, sigmas = self._plan(known, spaced)
        last = known[0] if schedule.config.get("final_sigmas_type") == "sigma_min" else 0.0
        self.sigmas: Floats = np.append(sigmas, last).astype(np.float32)

    def _plan(self, known: Floats, spaced: bool) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """The denoiser's timesteps and the sigma at each."""
        timesteps = self.schedule.timesteps(self.steps, self.spacing).astype(np.float32)
        sigmas = np.interp(timesteps, np.arange(len(known)), known)
        if spaced:
            sigmas = karras(float(sigmas[-1]), float(sigmas[0]), self.steps)
            timesteps = timesteps_of(sigmas, known).astype(np.float32)
        return timesteps, sigmas

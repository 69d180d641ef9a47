"""What a model's `scheduler_config.json` says: how much signal is left at each training step, and which steps to take.

The formulas are those of the papers that diffusers follows too: zero terminal SNR and the three spacings from "Common
Diffusion Noise Schedules and Sample Steps are Flawed" (https://arxiv.org/abs/2305.08891), Karras' sigmas from
"Elucidating the Design Space of Diffusion-Based Generative Models" (https://arxiv.org/abs/2206.00364).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from visioncraft import InvalidRequest

from visioncraft_local_onnx.arrays import Floats

NEVER_ZERO = np.float32(2**-24)
"""Stands in for a signal of zero where sigmas are computed, which would be infinite: half precision's least number."""

_RHO = 7.0  # of Karras' sigmas


@dataclass(frozen=True)
class Schedule:
    """A model's noise schedule.

    Args:
        alphas_bar: The share of signal power left after each training step, shape (training steps,), falling.
        config: `scheduler_config.json` as it was read.
    """

    alphas_bar: Floats
    config: Mapping[str, Any]

    @property
    def training_steps(self) -> int:
        """How many steps the model was trained on."""
        return len(self.alphas_bar)

    @property
    def prediction(self) -> str:
        """What the denoiser predicts: `epsilon`, `v_prediction` or `sample`."""
        return str(self.config.get("prediction_type", "epsilon"))

    def sigmas(self) -> Floats:
        """Noise over signal at each training step, finite everywhere; shape (training steps,), rising."""
        alphas = self.alphas_bar.copy()
        if self.config.get("rescale_betas_zero_snr"):
            alphas[-1] = NEVER_ZERO
        return np.sqrt((1 - alphas) / alphas)

    def timesteps(self, count: int, spacing: str) -> Floats:
        """`count` training steps to visit, falling.

        Args:
            spacing: What counts where the model's configuration does not say it: `leading`, `linspace` or `trailing`.

        Raises `InvalidRequest` for more steps than the model was trained on.
        """
        if count > self.training_steps:
            issue = f"this model has {self.training_steps} steps"
            raise InvalidRequest("Too many steps for this model", field="num_inference_steps", issue=issue)
        offset = int(self.config.get("steps_offset", 0))
        spacing = str(self.config.get("timestep_spacing", spacing))
        if spacing == "linspace":
            return np.linspace(0, self.training_steps - 1, count)[::-1].copy()
        if spacing == "leading":
            return (np.arange(count) * (self.training_steps // count))[::-1].astype(np.float64) + offset
        return np.arange(self.training_steps, 0, -self.training_steps / count).round()[:count] - 1


def read_schedule(config: Mapping[str, Any]) -> Schedule:
    """The schedule that a `scheduler_config.json` describes. Raises `ValueError` for a kind of schedule not known."""
    betas = _betas(config)
    alphas_bar = np.cumprod(1 - betas, dtype=np.float64).astype(np.float32)
    if config.get("rescale_betas_zero_snr"):
        alphas_bar = _zero_terminal_snr(alphas_bar)
    return Schedule(alphas_bar, config)


def karras(lowest: float, highest: float, count: int) -> Floats:
    """`count` sigmas from `highest` to `lowest`, dense where they are small (equation 5 of Karras' paper)."""
    ramp = np.linspace(0, 1, count)
    first, last = highest ** (1 / _RHO), lowest ** (1 / _RHO)
    return np.asarray((first + ramp * (last - first)) ** _RHO)


def timesteps_of(sigmas: Floats, known: Floats) -> Floats:
    """The training steps at which `known` sigmas reach these, between two steps by the logarithm."""
    wanted, logs = np.log(np.maximum(sigmas, 1e-10)), np.log(known)
    low = np.clip(np.searchsorted(logs, wanted, side="right") - 1, 0, len(known) - 2)
    share = np.clip((logs[low] - wanted) / (logs[low] - logs[low + 1]), 0, 1)
    return np.asarray((1 - share) * low + share * (low + 1))


def _betas(config: Mapping[str, Any]) -> Floats:
    count = int(config.get("num_train_timesteps", 1000))
    start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    kind = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        return np.asarray(config["trained_betas"], dtype=np.float32)
    if kind == "linear":
        return _linspace(start, end, count)
    if kind == "scaled_linear":
        return np.asarray(_linspace(start**0.5, end**0.5, count) ** 2)
    if kind == "squaredcos_cap_v2":
        signal = [math.cos((step / count + 0.008) / 1.008 * math.pi / 2) ** 2 for step in range(count + 1)]
        betas = [min(1 - after / before, 0.999) for before, after in pairwise(signal)]
        return np.array(betas, dtype=np.float32)
    raise ValueError(f"the noise schedule {str(kind)[:40]!r} is not known")


def _linspace(start: float, end: float, count: int) -> Floats:
    """As torch spaces in single precision, from both ends: rounding adds up over a thousand betas."""
    first, last = np.float32(start), np.float32(end)
    step = (last - first) / np.float32(count - 1)
    index = np.arange(count, dtype=np.float32)
    return np.where(index < count // 2, first + step * index, last - step * index[::-1])


def _zero_terminal_snr(alphas_bar: Floats) -> Floats:
    """Shift and scale the signal so that nothing of it is left at the last step (algorithm 1 of the paper).

    By way of betas, as diffusers does it: rounding there decides the last digits.
    """
    root = np.sqrt(alphas_bar)
    scaled = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    power = scaled**2
    betas = 1 - np.concatenate([power[:1], power[1:] / power[:-1]])
    return np.cumprod(1 - betas, dtype=np.float64).astype(np.float32)

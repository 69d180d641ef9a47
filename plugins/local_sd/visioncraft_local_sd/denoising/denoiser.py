"""One call of the denoiser for many requests, whatever their steps, guidance, sampler or time of arrival."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from visioncraft import Control

from visioncraft_local_sd.batching.limits import BatchLimits
from visioncraft_local_sd.denoising.controlnet import Condition, ControlNet
from visioncraft_local_sd.device.memory import is_out_of_memory


class Branch(Protocol):
    """What one branch of a request tells the denoiser, as its family encodes it."""

    @property
    def key(self) -> Hashable:
        """Equal for branches whose tensors stack."""


B_co = TypeVar("B_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Row(Generic[B_co]):
    """A row of a denoiser call: one branch of one request."""

    call: DenoiserCall
    branch: B_co


class Caller(Protocol):
    """How a family's network is called."""

    @property
    def network(self) -> Any:
        """The network."""

    def embedded(self, guidance: float) -> torch.Tensor | None:
        """The guidance scale as an input of the network; None for one that takes none."""

    def __call__(
        self, rows: Sequence[Row[Any]], network: Callable[..., Any], control: ControlNet | None
    ) -> torch.Tensor:
        """What the network says to each row: fp32, (rows, channels, height, width).

        Args:
            network: What is called: the network, or what is as good.
            control: A ControlNet beside it.
        """


@dataclass(frozen=True, slots=True)
class DenoiserCall:
    """One request's part of a denoiser call.

    Args:
        denoiser: The denoiser to ask.
        latents: Scaled as its sampler wants them: fp32, (1, channels, height, width).
        timestep: Where it is, of no dimension.
        branches: The negative branch and the text's, or the text's alone where guidance is off.
        guidance: For denoisers that take it as an input, embedded: (1, channels).
        condition: What the denoiser's ControlNet follows, where it has one.
    """

    denoiser: Denoiser
    latents: torch.Tensor
    timestep: torch.Tensor
    branches: tuple[Branch, ...]
    guidance: torch.Tensor | None = None
    condition: Condition | None = None

    @property
    def key(self) -> Hashable:
        """Calls of one denoiser whose tensors stack."""
        return (id(self.denoiser), self.latents.shape, self.branches[0].key)

    @property
    def weight(self) -> int:
        """Its rows."""
        return len(self.branches)

    @property
    def bound(self) -> int:
        """At most so many rows together."""
        return self.denoiser.bounds.rows(*self._size)

    def together(self, calls: Sequence[DenoiserCall]) -> Sequence[torch.Tensor]:
        """The predictions for each: fp32, (branches, channels, height, width)."""
        return self.denoiser.predict(calls)

    def crowded(self, weight: int, error: Exception) -> None:
        """So many rows together failed: fewer from now on where memory ran out."""
        if is_out_of_memory(error):
            self.denoiser.bounds.crowded(*self._size, weight)

    @property
    def _size(self) -> tuple[int, int]:
        height, width = self.latents.shape[2:]
        return height, width


class Denoiser:
    """A model's network, switched to what requests want of it.

    Args:
        caller: How it is called.
        bounds: How many rows a call may have.
        ready: Called before each call: switches the network to what this denoiser is for.
        edited: Whether it is for LoRAs or a ControlNet: such calls take longer, and teach nobody what a call takes.
        control: A ControlNet beside it.
        network: What is called in the network's place.
        pace: Called after each call, where a call returns before it is done; see `backpressure.Pace`.
    """

    def __init__(
        self,
        caller: Caller,
        bounds: BatchLimits,
        ready: Callable[[], None] | None = None,
        edited: bool = False,
        control: ControlNet | None = None,
        network: Callable[..., Any] | None = None,
        pace: Callable[[], None] | None = None,
    ) -> None:
        self.bounds = bounds
        self._caller, self._network = caller, network or caller.network
        self._ready, self._edited, self._control = ready, edited, control
        self._pace = pace

    def condition(self, control: Control, width: int, height: int) -> Condition | None:
        """A request's condition at a picture's size, as this denoiser's ControlNet reads it."""
        return self._control.condition(control, width, height) if self._control is not None else None

    def embedded(self, guidance: float) -> torch.Tensor | None:
        """The guidance scale as an input, for denoisers that take it."""
        return self._caller.embedded(guidance)

    def predict(self, asks: Sequence[DenoiserCall]) -> Sequence[torch.Tensor]:
        """What the network says to each, in one call."""
        if self._ready is not None:
            self._ready()
        rows = [Row(ask, branch) for ask in asks for branch in ask.branches]
        height, width = asks[0].latents.shape[2:]
        with nullcontext() if self._edited else self.bounds.timed(height, width, len(rows)):
            output = self._caller(rows, self._network, self._control)
        if self._pace is not None:
            self._pace()
        return torch.split(output, [len(ask.branches) for ask in asks])

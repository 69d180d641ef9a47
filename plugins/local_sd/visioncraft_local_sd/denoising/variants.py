"""One denoiser for each way that a model's network is used, so that requests that use it alike share calls."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from visioncraft import Control, GenerationRequest, InvalidRequest, NotFound, state_of

from visioncraft_local_sd.batching.backpressure import Pace
from visioncraft_local_sd.batching.limits import BatchLimits
from visioncraft_local_sd.denoising.controlnet import FIELD, ControlNet, load_controlnet
from visioncraft_local_sd.denoising.denoiser import Caller, Denoiser
from visioncraft_local_sd.loras.merged import LoRAs


class Denoisers:
    """The denoisers of one model: the plain one for good, others while somebody draws with them.

    Args:
        caller: How the network is called.
        bounds: How many rows a call may have.
        loras: Switches it.
        find: From a ControlNet's name to its file or folder; raises `NotFound`.
        device: Where the network computes.
        network: What the plain one calls in the network's place.
    """

    def __init__(
        self,
        caller: Caller,
        bounds: BatchLimits,
        loras: LoRAs,
        find: Callable[[str], Path],
        device: str,
        network: Callable[..., Any] | None,
    ) -> None:
        self._device = device
        self._pace = Pace() if device == "cuda" else None
        self._caller, self._bounds, self._loras, self._find = caller, bounds, loras, find
        self.plain = Denoiser(caller, bounds, partial(loras.activate, ()), network=network, pace=self._pace)
        self._others: WeakValueDictionary[Hashable, Denoiser] = WeakValueDictionary()
        self._control: tuple[Hashable, ControlNet] | None = (
            None  # the last one stays: the next request often wants it too
        )

    def get(self, request: GenerationRequest) -> Denoiser:
        """The denoiser for a request. Raises `InvalidRequest` for a ControlNet that is absent or does not fit."""
        control = self._controlnet(request.controlnet) if request.controlnet is not None else None
        if not request.loras and control is None:
            return self.plain
        key = (request.loras, id(control))
        found = self._others.get(key)
        if found is None:
            ready = partial(self._loras.activate, request.loras)
            found = self._others[key] = Denoiser(self._caller, self._bounds, ready, True, control, pace=self._pace)
        return found

    def _controlnet(self, control: Control) -> ControlNet:
        try:
            path = self._find(control.name)
        except NotFound as absent:
            raise InvalidRequest.of(FIELD, absent.message) from absent
        now = path, state_of(path)  # another file may have been put in its place
        if self._control is None or self._control[0] != now:
            self._control = None  # its memory first
            self._control = (now, load_controlnet(path, self._caller.network, self._device))
        return self._control[1]

"""A denoiser's calls on CUDA: recorded once, and replayed without Python between their kernels.

A GPU is done with a small picture's kernels before Python has asked for the next ones. What is replayed is what was
recorded, kernel for kernel (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs), so nothing rounds
elsewhere than it did.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import torch

from visioncraft_local_sd.device.memory import is_out_of_memory

AFTER = 8
"""Calls that are alike before they are recorded: more than the tries of `engine.bounds`, which time no replays."""

_KEPT = 16  # recordings; the driver takes some MB for each
_PAYS = 0.95  # a replay must take less than this share of the call as it is

_log = logging.getLogger("visioncraft.local_sd")

Inputs = Mapping[str, Any]


class Graphs:
    """A network whose calls are recorded while it is used.

    Args:
        unet: A diffusers UNet on a CUDA device, that keeps its weights where they are.
        room: For how many rows of a latent's height and width memory suffices now. A recording keeps what its call
            takes beside the weights; all share it.
        after: So many calls whose inputs are alike.
        pays: The share of its time that a call must take at most when it is replayed; other recordings are not kept.
    """

    def __init__(self, unet: Any, room: Callable[[int, int], int], after: int = AFTER, pays: float = _PAYS) -> None:
        self._unet, self._room, self._after, self._pays = unet, room, after, pays
        self._calls: Counter[Hashable] = Counter()
        self._recorded: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._memory: Any = None  # what recordings share

    def __call__(self, sample: torch.Tensor, timestep: torch.Tensor, **conditions: Any) -> Any:
        """As the UNet's `forward`."""
        inputs = {"sample": sample, "timestep": timestep.float(), **conditions}
        alike = _key(inputs)
        recording = self._recorded.get(alike)
        if recording is not None:
            self._recorded.move_to_end(alike)
            return recording.replay(inputs)
        self._calls[alike] += 1
        if self._calls[alike] == self._after:
            self._try(alike, inputs)
        return self._unet(sample, timestep, **conditions)

    @property
    def recorded(self) -> int:
        """How many kinds of calls are replayed."""
        return len(self._recorded)

    def close(self) -> None:
        """Forget what was recorded, and give its memory back; calls are recorded anew when they were made often."""
        self._calls.clear()
        self._recorded.clear()
        self._memory = None

    def _try(self, alike: Hashable, inputs: Inputs) -> None:
        rows, _, height, width = inputs["sample"].shape
        if self._room(height, width) < 2 * rows:
            return
        try:
            recording = self._paying(inputs)
        except RuntimeError as error:
            reason = "memory ran out" if is_out_of_memory(error) else str(error)
            _log.warning("a call of the denoiser could not be recorded, and goes on as it is: %s", reason)
            return
        if recording is not None:
            self._recorded[alike] = recording
            while len(self._recorded) > _KEPT:
                self._calls.pop(self._recorded.popitem(last=False)[0])

    def _paying(self, inputs: Inputs) -> _Recording | None:
        """A recording of the call; None where replaying it is not faster."""
        as_it_is = _seconds(lambda: self._unet(**inputs))
        if self._memory is None:
            self._memory = torch.cuda.graph_pool_handle()
        recording = _Recording(self._unet, inputs, self._memory)
        replayed = min(_seconds(lambda: recording.replay(inputs)) for _ in range(2))
        _log.debug("a denoiser call takes %.1f ms, replayed %.1f ms", as_it_is * 1e3, replayed * 1e3)
        return recording if replayed < self._pays * as_it_is else None


class _Recording:
    """One call in a CUDA graph, with the places that it reads its inputs from and leaves its answer in."""

    def __init__(self, unet: Any, inputs: Inputs, memory: Any) -> None:
        self._places = _copied(inputs)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may ask the driver for whatever they like meanwhile.
        with torch.cuda.graph(self._graph, pool=memory, capture_error_mode="thread_local"):
            self._answer = unet(**self._places)[0]

    def replay(self, inputs: Inputs) -> tuple[torch.Tensor]:
        for place, given in zip(_tensors(self._places), _tensors(inputs), strict=True):
            place.copy_(given)
        self._graph.replay()
        return (self._answer.clone(),)  # the next recording may use its place


def _seconds(call: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _key(value: Any) -> Hashable:
    """Equal for inputs that can be copied into one another's places."""
    if isinstance(value, Mapping):
        return tuple((name, _key(part)) for name, part in value.items())
    return (value.shape, value.dtype, value.stride()) if isinstance(value, torch.Tensor) else value


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(part) for name, part in value.items()}
    return value.clone() if isinstance(value, torch.Tensor) else value


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, torch.Tensor):
        yield value

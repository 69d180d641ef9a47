"""A denoiser's network, called as it is called; what is asked for often, compiled code answers in its place."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from visioncraft_local_sd.compiling.calls import described
from visioncraft_local_sd.compiling.cuda_graphs import Graphs
from visioncraft_local_sd.compiling.queue import Compiler, Job
from visioncraft_local_sd.settings import CompileSetting

PAYS = 200
"""Calls of one kind before it is compiled, ten pictures of 20 steps: what is only tried out is not worth it."""

_log = logging.getLogger("visioncraft.local_sd")


@dataclass(frozen=True, slots=True)
class CompileChoice:
    """What settings say of compiling.

    Args:
        setting: `auto` compiles what then draws the same picture: on a CPU in fp32. In bf16 it rounds at other places.
        folder: Of packages.
    """

    setting: CompileSetting
    folder: Path

    def network(self, unet: Any, device: str, room: Callable[[int, int], int]) -> Network | Graphs | None:
        """What to call in the place of a network that keeps its weights where they are; None for the network itself.

        Args:
            device: `cuda` or `cpu`.
            room: For how many rows of a latent's height and width memory suffices now.
        """
        if self.setting == "off":
            return None
        if device == "cuda":
            return Graphs(unet, room)
        exact = unet.dtype == torch.float32
        return Network(unet, Compiler(self.folder)) if self.setting == "on" or exact else None


@dataclass(frozen=True, slots=True)
class _Compiled:
    call: Callable[..., Any]
    first: int
    last: int


class Network:
    """A network that is compiled while it is used.

    Args:
        unet: A diffusers UNet on the CPU, that keeps its weights where they are.
        compiler: Compiles it.
        after: So many calls whose inputs are alike but for their rows.
    """

    def __init__(self, unet: Any, compiler: Compiler, after: int = PAYS) -> None:
        self._unet, self._compiler, self._after = unet, compiler, after
        # Now, since names change while LoRAs are in
        self._weights = {**dict(unet.named_parameters()), **dict(unet.named_buffers())}
        self._calls: Counter[str] = Counter()
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, sample: torch.Tensor, timestep: torch.Tensor, **conditions: Any) -> Any:
        """As the UNet's `forward`."""
        # Samplers count in integers or not; the network computes with this either way.
        inputs = {"sample": sample, "timestep": timestep.float(), **conditions}
        inputs_alike = json.dumps(described(inputs))
        rows, compiled = len(sample), self._compiled.get(inputs_alike)
        if compiled is not None and compiled.first <= rows <= compiled.last:
            try:
                return compiled.call(**inputs)
            except RuntimeError as error:
                _log.warning("compiled code failed, the denoiser goes on as it is: %s", error)
                del self._compiled[inputs_alike]
        self._count(inputs_alike)
        return self._unet(sample, timestep, **conditions)

    @property
    def compiled(self) -> int:
        """For how many kinds of calls there is compiled code."""
        return len(self._compiled)

    def wait(self) -> None:
        """Until nothing is being compiled."""
        self._compiler.wait()

    def close(self) -> None:
        """Stop compiling."""
        self._compiler.close()

    def _count(self, inputs: str) -> None:
        self._calls[inputs] += 1
        known = self._calls[inputs] == 1 and self._compiler.has(self._job(inputs))
        if known or self._calls[inputs] == self._after:
            self._compiler.submit(self._job(inputs), partial(self._take, inputs))

    def _job(self, inputs: str) -> Job:
        told = json.loads(self._unet.to_json_string())
        config = {name: value for name, value in told.items() if not name.startswith("_")}  # not where it was read
        dtype = str(self._unet.dtype).removeprefix("torch.")
        return Job(config, dtype, json.loads(inputs))

    def _take(self, inputs: str, package: Path) -> None:
        call = torch._inductor.aoti_load_package(str(package))
        names = call.get_constant_fqns()
        if baked_in := sorted(self._weights.keys() - names):
            raise RuntimeError(f"{', '.join(baked_in)} would not be read from memory")
        call.load_constants({name: self._weights[name] for name in names}, check_full_update=True, user_managed=True)
        bounds = call.get_metadata()
        self._compiled[inputs] = _Compiled(call, int(bounds["first"]), int(bounds["last"]))
        _log.info("compiled code draws from now on")

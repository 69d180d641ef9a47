"""LoRAs in one model: loaded for who asks, shared by all who do, gone when nobody does.

PEFT wraps the layers that a LoRA changes and leaves their weights alone, so nothing has to be subtracted again:
unloaded, the model's own layers are back, to the byte. Requests with the same LoRAs in the same weights share denoiser
calls; before each call the model is switched to the LoRAs that it is for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from visioncraft import InvalidRequest, LoRA, NotFound, state_of

from visioncraft_local_sd.device.memory import is_out_of_memory
from visioncraft_local_sd.loras.files import load_lora
from visioncraft_local_sd.weights.safety import CheckpointRefused

Find = Callable[[str], Path]
_UNKNOWN = (LoRA(""),)
"""Which are switched on after a load or unload PEFT decides; whatever is asked for next is switched to."""


class LoRAs:
    """The LoRAs of one model.

    Args:
        pipe: The diffusers pipeline.
        find: From a LoRA's name to its file; raises `NotFound`.
    """

    def __init__(self, pipe: Any, find: Find) -> None:
        self._pipe, self._find = pipe, find
        self._holders: Counter[str] = Counter()
        self._adapters: dict[str, str] = {}
        self._active: tuple[LoRA, ...] = ()

    @contextmanager
    def held(self, wanted: Sequence[LoRA]) -> Iterator[None]:
        """Have these loaded while the block runs. Raises `InvalidRequest` that names the one that cannot be."""
        loaded: list[str] = []
        try:
            for number, lora in enumerate(wanted):
                file = self._file(number, lora)
                name = self._adapters[lora.name] = _adapter(file)
                if name in loaded:
                    raise _refused(number, f"'{lora.name}' is named twice; name it once, with its whole weight")
                if not self._holders[name]:
                    self._load(number, lora, file)
                self._holders[name] += 1
                loaded.append(name)
            yield
        finally:
            self._release(loaded)

    def activate(self, wanted: tuple[LoRA, ...]) -> None:
        """Draw with these from now on, which are loaded; with none for an empty tuple."""
        if wanted == self._active or not self._holders:
            return
        if wanted:
            self._pipe.enable_lora()
            names = [self._adapters[lora.name] for lora in wanted]
            self._pipe.set_adapters(names, [lora.weight for lora in wanted])
        else:
            self._pipe.disable_lora()
        self._active = wanted

    def _file(self, number: int, lora: LoRA) -> Path:
        try:
            return self._find(lora.name)
        except NotFound as absent:
            raise _refused(number, absent.message) from absent

    def _load(self, number: int, lora: LoRA, file: Path) -> None:
        adapter = self._adapters[lora.name]
        try:
            load_lora(self._pipe, file, adapter)
        except CheckpointRefused as refused:
            self._forget([adapter])
            raise _refused(number, f"'{lora.name}': {refused}") from refused
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            self._forget([adapter])
            if is_out_of_memory(error):
                raise
            raise _refused(number, f"'{lora.name}' does not fit this model; it is for another family") from error
        self._active = _UNKNOWN

    def _release(self, names: list[str]) -> None:
        idle = []
        for name in names:
            self._holders[name] -= 1
            if not self._holders[name]:
                del self._holders[name]
                idle.append(name)
        if idle:
            self._forget(idle)

    def _forget(self, names: list[str]) -> None:
        self._holders = +self._holders  # counts of zero are not holders
        if self._holders:
            self._pipe.delete_adapters(names)
        else:
            self._pipe.unload_lora_weights()
        self._active = _UNKNOWN if self._holders else ()


def _adapter(file: Path) -> str:
    """PEFT's name for a file as it is now: another one for whatever takes its place."""
    now = repr((str(file), state_of(file))).encode(errors="surrogateescape")
    return f"lora_{hashlib.sha256(now).hexdigest()[:16]}"


def _refused(number: int, issue: str) -> InvalidRequest:
    return InvalidRequest.of(f"loras.{number}.name", issue)

"""The generator: any Stable Diffusion 1.x, 2.x or XL checkpoint, on CUDA or on the CPU. torch waits for `load`."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from visioncraft import (
    DeviceInfo,
    GeneratedImage,
    GenerationRequest,
    InsufficientVRAM,
    ModelInfo,
    Progress,
    StoredModel,
)
from visioncraft_diffusion.generator import CachedGenerator

from visioncraft_local_sd.batching.engine import Engine
from visioncraft_local_sd.denoising.schedulers import check_sampler
from visioncraft_local_sd.device.choose import choose_device, describe_device
from visioncraft_local_sd.device.measurements import Measurements
from visioncraft_local_sd.device.memory import (
    MODES,
    Footprint,
    MemoryMode,
    budget_gb,
    footprint,
    free_gb,
    give_back,
    insufficient,
    is_out_of_memory,
    peak_gb,
    reset_peak,
)
from visioncraft_local_sd.images.enlarging import NETWORK_GB, enlarge_alone
from visioncraft_local_sd.loading.precision import EMULATED, precision_on_cpu
from visioncraft_local_sd.settings import LocalSDSettings
from visioncraft_local_sd.weights.add_ons import AddOns
from visioncraft_local_sd.weights.checkpoints import Checkpoint
from visioncraft_local_sd.weights.files import Collection
from visioncraft_local_sd.weights.models import ENGINE, Library
from visioncraft_local_sd.weights.safety import CheckpointRefused

if TYPE_CHECKING:
    from visioncraft_local_sd.model_in_memory import ModelInMemory

_log = logging.getLogger("visioncraft.local_sd")
_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}


class LocalSD(CachedGenerator["ModelInMemory"]):
    """Draws with diffusers. Safe to call from several threads.

    Args:
        settings: The plugin's table.
        data_path: The server's data folder; `models` in it is the default folder of models, and `precision.json` keeps
            how many rows share a denoiser call, `compiled` what was compiled.
    """

    name: ClassVar[str] = "local_sd"
    engines: ClassVar[frozenset[str]] = frozenset({ENGINE})

    def __init__(self, settings: LocalSDSettings, data_path: Path) -> None:
        super().__init__()
        self.concurrency = settings.concurrency
        self._settings = settings
        self._library = Library(settings, data_path)
        self.configured = self._library.configured
        self._collection = Collection(self._library)
        self._engine = Engine(settings.threads)
        self._measured, self._compiled = data_path / "precision.json", data_path / "compiled"
        self._chosen_device: str | None = None

    def models(self) -> Sequence[ModelInfo]:
        """Stable Diffusion 1.5, the models in the folder of models, and those settings name."""
        return self._library.models()

    def close(self) -> None:
        """Give everything back."""
        super().close()
        self._engine.close()

    def pull(self, model_id: str, progress: Progress) -> ModelInfo | StoredModel:
        """Download a model or part of the Hugging Face hub; see `download.pull`."""
        from visioncraft_local_sd.weights.download import pull

        return pull(self._collection, self._library, model_id, progress)

    def parts(self) -> Sequence[StoredModel]:
        """LoRAs, ControlNets, textual inversions, VAEs and upscalers in the folder of models."""
        return self._collection.parts()

    def add(self, path: Path, name: str | None, progress: Progress) -> StoredModel:
        """Copy a file or folder into the folder of models, as what its contents say it is."""
        return self._collection.add(path, name, progress)

    def inspect(self, name: str, listed: ModelInfo | None, progress: Progress) -> StoredModel:
        """The files of a model or part with their SHA-256."""
        return self._collection.inspect(name, listed, progress)

    def remove(self, name: str, listed: ModelInfo | None) -> StoredModel:
        """Delete a model or part from the folder of models, or Stable Diffusion 1.5 from the cache."""
        return self._collection.remove(name, listed)

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture.

        Raises `InvalidRequest` for an unknown sampler, `ModelNotAvailable`, `InsufficientVRAM`, `JobCancelled`, or
        `GenerationFailed` where a precision does not suffice.
        """
        if request.only_enlarges:
            return self._enlarged(request, progress)
        request = self._with_sampler(request)
        with self._held(request.model, progress) as loaded:
            self._make_fit(loaded, request)
            return self._guarded(
                lambda: self._draw(loaded, request, progress), lambda: self._ran_out(loaded, request.hires_size)
            )

    def _with_sampler(self, request: GenerationRequest) -> GenerationRequest:
        """The request with the one spelling of its sampler. Raises `InvalidRequest` where its model has none such."""
        if request.sampler is None:
            return request
        try:
            offered = self._library.checkpoint(request.model).kind.samplers
        except CheckpointRefused:  # said when it is to be loaded
            offered = ()
        return replace(request, sampler=check_sampler(request.sampler, offered))

    def _enlarged(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Enlarge an image that somebody sent, for which no model is loaded."""
        device = self._chosen_device = choose_device(self._settings.device)
        find = partial(AddOns(self._collection).find, "upscaler")
        return self._guarded(
            lambda: enlarge_alone(request, progress, self._engine.call, find, device),
            lambda: insufficient(free_gb(device), NETWORK_GB, device),
        )

    def _draw(self, loaded: ModelInMemory, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        from visioncraft import encode_png

        from visioncraft_local_sd.loading.load import engine_name

        reset_peak(loaded.device)
        pixels, sampler = loaded.draw(request, progress)
        facts = {"sampler": sampler, "dtype": loaded.precision, "engine": engine_name(), "memory_mode": loaded.mode}
        if vae := self._library.vae(request.model):
            facts["vae"] = vae
        height, width = pixels.shape[:2]
        return GeneratedImage(
            png=encode_png(pixels),
            width=width,
            height=height,
            seed=request.seed,
            vram_used=peak_gb(loaded.device),
            facts=facts,
            warnings=(*((EMULATED,) if self._lacks_bf16(loaded.device) else ()), *loaded.untold(request)),
        )

    def _device(self) -> DeviceInfo:
        return describe_device(self._settings.device, self._chosen_device)

    def _facts(self) -> Mapping[str, Any]:
        return self._engine.threads_in_use()

    def _is_out_of_memory(self, error: Exception) -> bool:
        return is_out_of_memory(error)

    def _version(self, model: ModelInfo) -> Hashable:
        """Tells the files that a model draws with from others that are put in their place."""
        vae = self._library.vae(model)
        return self._library.state(model), vae and self._collection.state("vae")

    def _open(self, model: ModelInfo, progress: Progress) -> ModelInMemory:
        began, checkpoint = time.perf_counter(), self._library.checkpoint(model)
        if vae := self._library.vae(model):
            checkpoint = replace(checkpoint, vae=Path(self._collection.part("vae", vae).path))
        _log.info("loading %s, once: it stays in memory for further pictures", model.id)
        if "torch" not in sys.modules:
            progress.stage("starting torch")
            import_module("visioncraft_local_sd.loading.load")
        progress.stage("loading")
        device = self._chosen_device = choose_device(self._settings.device)
        self._engine.lingers = device == "cuda"
        dtype = self._dtype(device, checkpoint.kind.half)
        estimate = self._footprint(checkpoint, device, dtype)
        mode = self._choose_mode(estimate, checkpoint.kind.side)
        loaded = self._guarded(
            lambda: self._read(checkpoint, dtype, mode, estimate), lambda: self._insufficient(estimate, (512, 512))
        )
        seconds = time.perf_counter() - began
        _log.info("loaded %s in %.1f s: on %s in %s, memory mode %s", model.id, seconds, device, loaded.precision, mode)
        return loaded

    def _read(self, checkpoint: Checkpoint, dtype: str, mode: MemoryMode, estimate: Footprint) -> ModelInMemory:
        from visioncraft_local_sd.compiling.network import CompileChoice
        from visioncraft_local_sd.images.preview import PreviewChoice
        from visioncraft_local_sd.loading.load import load_pipeline

        device = estimate.device
        choices = Measurements(self._measured, checkpoint, device)
        preview = PreviewChoice(self._settings.preview, self._settings.preview_every, self._library.models_dir)
        parts = AddOns(self._collection)
        compiling = CompileChoice(self._settings.compile, self._compiled)
        return load_pipeline(
            checkpoint, self._engine, device, dtype, mode, estimate, choices, preview, parts, compiling
        )

    def _dtype(self, device: str, half: str) -> str:
        """The precision on a device, for a family that draws in `half` on a GPU: one in bf16 overflows fp16."""
        chosen = self._settings.dtype
        if device == "cuda":
            return half if chosen == "auto" or (chosen, half) == ("fp16", "bf16") else chosen
        if self._lacks_bf16(device):
            _log.warning("%s", EMULATED)
        return "fp32" if chosen == "fp32" else precision_on_cpu()  # fp16 was meant for a GPU that is not there

    def _lacks_bf16(self, device: str) -> bool:
        """Whether settings ask for bf16 that this device has not."""
        return self._settings.dtype == "bf16" and device == "cpu" and precision_on_cpu() != "bf16"

    def _footprint(self, checkpoint: Checkpoint, device: str, dtype: str) -> Footprint:
        """What a checkpoint takes. A CPU's weights are read in fp32, and count so unless settings ask for bf16."""
        bytes_each = 4 if device == "cpu" and self._settings.dtype == "auto" else _BYTES[dtype]
        decoder = 4 if dtype == "fp16" and checkpoint.upcasts_vae else bytes_each
        return footprint(checkpoint, device, bytes_each, decoder, 4 if device == "cpu" else bytes_each)

    def _choose_mode(self, estimate: Footprint, side: int) -> MemoryMode:
        """The fastest mode that fits, after idle models have left. Raises `InsufficientVRAM` where none does."""
        device = estimate.device
        budget = budget_gb(device, self._settings.memory_budget_gb)

        def fits(mode: MemoryMode) -> bool:
            room = budget - self._cache.resident_gb()
            return estimate.resident_gb(mode) <= room and estimate.required_gb(side, side, mode) <= free_gb(device)

        modes = self._modes(device)
        self._make_room(lambda: fits(modes[0]))
        for mode in modes:
            if fits(mode):
                return mode
        available = min(free_gb(device), budget - self._cache.resident_gb())
        raise insufficient(available, estimate.required_gb(side, side, modes[-1]), device)

    def _modes(self, device: str) -> Sequence[MemoryMode]:
        chosen = self._settings.memory_mode
        if device == "cpu":  # weights are in main memory already: there is nowhere to offload them to
            return MODES[:2] if chosen == "auto" else MODES[:1] if chosen == "full" else MODES[1:2]
        return MODES if chosen == "auto" else (chosen,)

    def _make_fit(self, loaded: ModelInMemory, request: GenerationRequest) -> None:
        """Predict whether a picture fits, and make room for it. Raises `InsufficientVRAM` before any work."""
        estimate, device = loaded.footprint, loaded.device

        def working() -> float:
            return estimate.working_gb(*request.hires_size, loaded.mode)

        def fits() -> bool:
            return working() <= free_gb(device)

        if fits():
            return
        loaded.spare()
        if not self._make_room(fits) and "slicing" in self._modes(device):
            loaded.use_slices()
        if not fits():
            resident = loaded.resident_gb
            raise insufficient(free_gb(device) + resident, working() + resident, device)

    def _ran_out(self, loaded: ModelInMemory, size: tuple[int, int]) -> InsufficientVRAM:
        """What to say after memory ran out while a model drew; frees what it can do without."""
        loaded.spare()
        if "slicing" in self._modes(loaded.device):
            loaded.use_slices()
        return self._insufficient(loaded.footprint, size, loaded.mode, loaded.resident_gb)

    def _insufficient(
        self, estimate: Footprint, size: tuple[int, int], mode: MemoryMode = "full", resident_gb: float = 0.0
    ) -> InsufficientVRAM:
        device = estimate.device
        give_back(device)
        return insufficient(free_gb(device) + resident_gb, estimate.required_gb(*size, mode), device)

"""The generator: any Stable Diffusion 1.x, 2.x or XL checkpoint, on CUDA or on the CPU. torch waits for `load`."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from visioncraft import (
    BackendStatus,
    GeneratedImage,
    GenerationRequest,
    Generator,
    ModelCache,
    ModelInfo,
    ModelNotAvailable,
    NotFound,
    Progress,
    StoredModel,
)

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
from visioncraft_local_sd.loading.precision import EMULATED, precision_on_cpu
from visioncraft_local_sd.settings import LocalSDSettings
from visioncraft_local_sd.weights.checkpoints import Checkpoint
from visioncraft_local_sd.weights.files import Collection
from visioncraft_local_sd.weights.models import ENGINE, Library
from visioncraft_local_sd.weights.safety import CheckpointRefused

if TYPE_CHECKING:
    from visioncraft_local_sd.loaded_model import LoadedModel

_log = logging.getLogger("visioncraft.local_sd")
_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
_NATIVE = {"sd1": 512, "sd2": 768, "sdxl": 1024}  # the side a family was trained at, for which a mode is chosen
T = TypeVar("T")


class LocalSD(Generator):
    """Draws with diffusers. Safe to call from several threads.

    Parameters
    ----------
    settings: The plugin's table.
    data_path: The server's data folder; `models` in it is the default folder of models, and `precision.json` keeps
        how many rows share a denoiser call, `compiled` what was compiled.
    """

    name: ClassVar[str] = "local_sd"
    engines: ClassVar[frozenset[str]] = frozenset({ENGINE})

    def __init__(self, settings: LocalSDSettings, data_path: Path) -> None:
        self.concurrency = settings.concurrency
        self._settings = settings
        self._library = Library(settings, data_path)
        self.configured = self._library.tables
        self._collection = Collection(self._library)
        self._engine = Engine(settings.threads)
        self._measured, self._compiled = data_path / "precision.json", data_path / "compiled"
        self._shelf: ModelCache[LoadedModel] = ModelCache()
        self._device: str | None = None

    def models(self) -> Sequence[ModelInfo]:
        """Stable Diffusion 1.5, the models in the folder of models, and those settings name."""
        return self._library.models()

    def load(self, model: ModelInfo, progress: Progress) -> None:
        """Bring a model into memory. Raises `ModelNotAvailable` or `InsufficientVRAM`."""
        with self._held(model, progress):
            pass

    def unload(self, model: ModelInfo) -> None:
        """Give a model's memory back: now, or when the pictures it is drawing are done."""
        self._shelf.drop(model.id)

    def close(self) -> None:
        """Give everything back."""
        self._shelf.clear()
        self._engine.close()

    def status(self) -> BackendStatus:
        """The models in memory and the device; imports no torch."""
        return BackendStatus(
            name=self.name,
            loaded_models=self._shelf.ids(),
            device=describe_device(self._settings.device, self._device),
            facts={"memory_used_by_models": round(self._shelf.resident_gb(), 2)} | self._engine.threads_in_use(),
        )

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
        if request.sampler is not None:
            request = replace(request, sampler=check_sampler(request.sampler))
        with self._held(request.model, progress) as loaded:
            self._make_fit(loaded, request)
            return self._guarded(lambda: self._draw(loaded, request, progress), loaded.footprint, request, loaded)

    def _draw(self, loaded: LoadedModel, request: GenerationRequest, progress: Progress) -> GeneratedImage:
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

    def _held(self, model: ModelInfo, progress: Progress) -> AbstractContextManager[LoadedModel]:
        return self._shelf.hold(model.id, lambda: self._load(model, progress), self._version(model))

    def _version(self, model: ModelInfo) -> Hashable:
        """Tells the files that a model draws with from others that are put in their place."""
        vae = self._library.vae(model)
        return self._library.state(model), vae and self._collection.state("vae")

    def _load(self, model: ModelInfo, progress: Progress) -> LoadedModel:
        try:
            return self._loaded(model, progress)
        except (CheckpointRefused, NotFound) as refused:
            available = [info.id for info in self.models() if info.available]
            raise ModelNotAvailable(model.id, available, model.suggestion or str(refused)) from refused

    def _loaded(self, model: ModelInfo, progress: Progress) -> LoadedModel:
        began, checkpoint = time.perf_counter(), self._library.checkpoint(model)
        if vae := self._library.vae(model):
            checkpoint = replace(checkpoint, vae=Path(self._collection.part("vae", vae).path))
        _log.info("loading %s, once: it stays in memory for further pictures", model.id)
        if "torch" not in sys.modules:
            progress.stage("starting torch")
            import_module("visioncraft_local_sd.loading.load")
        progress.stage("loading")
        device = self._device = choose_device(self._settings.device)
        self._engine.lingers = device == "cuda"
        dtype = self._dtype(device)
        estimate = self._footprint(checkpoint, device, dtype)
        mode = self._choose_mode(estimate, _NATIVE[checkpoint.family])
        loaded = self._guarded(lambda: self._open(checkpoint, device, dtype, mode, estimate), estimate)
        seconds = time.perf_counter() - began
        _log.info("loaded %s in %.1f s: on %s in %s, memory mode %s", model.id, seconds, device, loaded.precision, mode)
        return loaded

    def _open(
        self, checkpoint: Checkpoint, device: str, dtype: str, mode: MemoryMode, estimate: Footprint
    ) -> LoadedModel:
        from visioncraft_local_sd.compiling.network import CompileChoice
        from visioncraft_local_sd.images.preview import PreviewChoice
        from visioncraft_local_sd.loading.load import load_pipeline
        from visioncraft_local_sd.weights.add_ons import AddOns

        choices = Measurements(self._measured, checkpoint, device)
        preview = PreviewChoice(self._settings.preview, self._settings.preview_every, self._library.models_dir)
        parts = AddOns(self._collection)
        compiling = CompileChoice(self._settings.compile, self._compiled)
        return load_pipeline(
            checkpoint, self._engine, device, dtype, mode, estimate, choices, preview, parts, compiling
        )

    def _dtype(self, device: str) -> str:
        chosen = self._settings.dtype
        if device == "cuda":
            return "fp16" if chosen == "auto" else chosen
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
            room = budget - self._shelf.resident_gb()
            return estimate.resident_gb(mode) <= room and estimate.required_gb(side, side, mode) <= free_gb(device)

        modes = self._modes(device)
        self._shelf.evict_until(lambda: fits(modes[0]))
        for mode in modes:
            if fits(mode):
                return mode
        available = min(free_gb(device), budget - self._shelf.resident_gb())
        raise insufficient(available, estimate.required_gb(side, side, modes[-1]), device)

    def _modes(self, device: str) -> Sequence[MemoryMode]:
        chosen = self._settings.memory_mode
        if device == "cpu":  # weights are in main memory already: there is nowhere to offload them to
            return MODES[:2] if chosen == "auto" else MODES[:1] if chosen == "full" else MODES[1:2]
        return MODES if chosen == "auto" else (chosen,)

    def _make_fit(self, loaded: LoadedModel, request: GenerationRequest) -> None:
        """Predict whether a picture fits, and make room for it. Raises `InsufficientVRAM` before any work."""
        estimate, device = loaded.footprint, loaded.device

        def working() -> float:
            return estimate.working_gb(*request.hires_size, loaded.mode)

        if working() <= free_gb(device):
            return
        loaded.spare()
        self._shelf.evict_until(lambda: working() <= free_gb(device))
        if working() > free_gb(device) and "slicing" in self._modes(device):
            loaded.use_slices()
        if working() > free_gb(device):
            resident = loaded.resident_gb
            raise insufficient(free_gb(device) + resident, working() + resident, device)

    def _guarded(
        self,
        work: Callable[[], T],
        estimate: Footprint,
        request: GenerationRequest | None = None,
        loaded: LoadedModel | None = None,
    ) -> T:
        """Do the work; where the device's memory runs out in it, free what can be freed and say so."""
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Out here the error is gone, and with it the frames that held its tensors.
        self._shelf.evict_until(lambda: False)
        if loaded is not None:
            loaded.spare()
            if "slicing" in self._modes(estimate.device):
                loaded.use_slices()
        give_back(estimate.device)
        mode: MemoryMode = loaded.mode if loaded is not None else "full"
        width, height = request.hires_size if request is not None else (512, 512)
        available = free_gb(estimate.device) + (loaded.resident_gb if loaded is not None else 0.0)
        raise insufficient(available, estimate.required_gb(width, height, mode), estimate.device)

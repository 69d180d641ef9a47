"""The generator: Stable Diffusion in ONNX graphs. ONNX Runtime waits for `load`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from visioncraft import (
    BackendStatus,
    ExportedModel,
    GeneratedImage,
    GenerationRequest,
    Generator,
    InsufficientVRAM,
    ModelCache,
    ModelInfo,
    ModelNotAvailable,
    Progress,
    free_memory_gb,
    probe_device,
)

from visioncraft_local_onnx.editing import check_abilities
from visioncraft_local_onnx.folder import ModelRefused, OnnxFolder
from visioncraft_local_onnx.library import ENGINE, Library
from visioncraft_local_onnx.sampling.names import check_sampler
from visioncraft_local_onnx.settings import LocalOnnxSettings

if TYPE_CHECKING:
    from visioncraft_local_onnx.pipeline import OnnxModel

_log = logging.getLogger("visioncraft.local_onnx")
_NOT_ENOUGH = "Not enough memory for requested resolution"
_ON_A_GPU = frozenset({"tensorrt", "cuda", "directml"})


class LocalOnnx(Generator):
    """Draws with ONNX Runtime. Safe to call from several threads.

    Parameters
    ----------
    settings: The plugin's table.
    data_path: The server's data folder; `models-onnx` in it is the default folder of models, `onnx-optimised` keeps
        the graphs that ONNX Runtime optimised.
    """

    name: ClassVar[str] = "local_onnx"
    engines: ClassVar[frozenset[str]] = frozenset({ENGINE})
    exports: ClassVar[str] = ENGINE
    """What `visioncraft models export --to` calls what `export` makes."""

    def __init__(self, settings: LocalOnnxSettings, data_path: Path) -> None:
        self.concurrency = settings.concurrency
        self._settings = settings
        self._library = Library(settings, data_path)
        self.configured = frozenset(name for name, entry in settings.models.items() if entry.path is None)
        self._environment = data_path / "environments" / "onnx-export"
        self._optimised = data_path / "onnx-optimised" if settings.keep_optimised else None
        self._shelf: ModelCache[OnnxModel] = ModelCache()
        self._provider: str | None = None
        self._threads = 0

    def models(self) -> Sequence[ModelInfo]:
        """The models in the folder of models, and those that settings name."""
        return self._library.models()

    def load(self, model: ModelInfo, progress: Progress) -> None:
        """Bring a model into memory. Raises `ModelNotAvailable`, `InsufficientVRAM` or `ServiceUnavailable`."""
        with self._held(model, progress):
            pass

    def unload(self, model: ModelInfo) -> None:
        """Give a model's memory back: now, or when the pictures it is drawing are done."""
        self._shelf.drop(model.id)

    def close(self) -> None:
        """Give everything back."""
        self._shelf.clear()

    def status(self) -> BackendStatus:
        """The models in memory, the device and the execution provider; imports no ONNX Runtime."""
        facts = {"memory_used_by_models": round(self._shelf.resident_gb(), 2)}
        return BackendStatus(
            name=self.name,
            loaded_models=self._shelf.ids(),
            device=probe_device(cpu_only=self._provider not in _ON_A_GPU),
            facts=facts | ({"provider": self._provider, "threads": self._threads} if self._provider else {}),
        )

    def export(self, model: ModelInfo, precision: str, progress: Progress) -> ExportedModel:
        """Export a diffusers model with Optimum, in an environment of its own that is made first.

        Raises `InvalidRequest`, `ServiceUnavailable`, `StorageError` or `GenerationFailed`; nothing is kept then.
        """
        from visioncraft_local_onnx.export.environment import Environment
        from visioncraft_local_onnx.export.run import Exporter, precision_of

        chosen, named = precision_of(precision), self._settings.export_python
        python = Path(named) if named != "auto" else Environment(self._environment).python(progress)
        exporter = Exporter(python, self._library.models_dir, lambda request: self._drawn_once(request, progress))
        folder, findings = exporter.export(model, chosen, progress)
        info = next(info for info in self.models() if info.source == str(folder))
        return ExportedModel(info, findings.lines())

    def _drawn_once(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        try:
            return self.run(request, progress)
        finally:
            self.unload(request.model)

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture.

        Raises `InvalidRequest` for an unknown sampler or for what needs torch, `ModelNotAvailable`,
        `InsufficientVRAM`, `ServiceUnavailable` without a provider, `JobCancelled`, or `GenerationFailed` where a
        precision does not suffice.
        """
        if request.sampler is not None:
            request = replace(request, sampler=check_sampler(request.sampler))
        with self._held(request.model, progress) as loaded:
            check_abilities(request, loaded.folder)
            self._make_room(loaded.folder, request.width, request.height)
            try:
                return self._draw(loaded, request, progress)
            except Exception as error:
                if not _is_out_of_memory(error):
                    raise
        self._shelf.evict_until(lambda: False)
        raise InsufficientVRAM(free_memory_gb(), loaded.folder.working_gb(request.width, request.height), _NOT_ENOUGH)

    def _draw(self, loaded: OnnxModel, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        from visioncraft import encode_png

        from visioncraft_local_onnx.pipeline import engine_name

        pixels, sampler = loaded.draw(request, progress)
        facts = {
            "sampler": sampler,
            "dtype": loaded.precision,
            "engine": engine_name(),
            "provider": loaded.provider,
        }
        height, width = pixels.shape[:2]
        return GeneratedImage(
            encode_png(pixels), width, height, request.seed, facts=facts, warnings=loaded.untold(request)
        )

    def _held(self, model: ModelInfo, progress: Progress) -> AbstractContextManager[OnnxModel]:
        return self._shelf.hold(model.id, lambda: self._load(model, progress), self._library.state(model))

    def _load(self, model: ModelInfo, progress: Progress) -> OnnxModel:
        progress.stage("loading")
        try:
            folder = self._library.folder(model)
            self._make_room_for_weights(folder)
            return self._open(folder, model)
        except ModelRefused as refused:
            available = [info.id for info in self.models() if info.available]
            raise ModelNotAvailable(model.id, available, str(refused)) from refused

    def _open(self, folder: OnnxFolder, model: ModelInfo) -> OnnxModel:
        from visioncraft_local_onnx.pipeline import OnnxModel
        from visioncraft_local_onnx.sessions import Runtime, choose_providers

        settings = self._settings
        providers = choose_providers(settings.providers)
        _log.info("loading %s, once: it stays in memory for further pictures", model.id)
        every = settings.preview_every if settings.preview == "linear" else 0
        runtime = Runtime(providers, settings.threads, self._optimised, settings.openvino_precision)
        loaded = OnnxModel(folder, runtime, every)
        self._provider, self._threads = loaded.provider, runtime.cores
        _log.info("loaded %s: on %s with %d threads", model.id, loaded.provider, runtime.cores)
        return loaded

    def _make_room_for_weights(self, folder: OnnxFolder) -> None:
        """Let idle models leave until the weights fit budget and memory. Raises `InsufficientVRAM`."""
        needed = folder.weights_gb
        self._shelf.evict_until(lambda: needed <= self._room())
        if needed > self._room():
            raise InsufficientVRAM(self._room(), needed, f"Not enough memory for {folder.path.name}")

    def _make_room(self, folder: OnnxFolder, width: int, height: int) -> None:
        """The same for a picture's work."""
        needed = folder.working_gb(width, height)
        self._shelf.evict_until(lambda: needed <= free_memory_gb())
        if needed > free_memory_gb():
            raise InsufficientVRAM(free_memory_gb(), needed, _NOT_ENOUGH)

    def _room(self) -> float:
        """GB that another model's weights may take."""
        import psutil

        budget = self._settings.memory_budget_gb or psutil.virtual_memory().total / 2**30 * 0.7
        return min(free_memory_gb(), budget - self._shelf.resident_gb())


def _is_out_of_memory(error: Exception) -> bool:
    """ONNX Runtime has no error of its own for it."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "bad allocation" in str(error)

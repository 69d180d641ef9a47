"""The generator: Stable Diffusion in ONNX graphs. NumPy waits for the first image, ONNX Runtime for `load`."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from visioncraft import (
    DeviceInfo,
    ExportedModel,
    GeneratedImage,
    GenerationRequest,
    InsufficientVRAM,
    ModelInfo,
    Progress,
    free_memory_gb,
    probe_device,
)
from visioncraft_diffusion.generator import NOT_ENOUGH, CachedGenerator, main_memory_budget_gb

from visioncraft_local_onnx.folder import OnnxFolder
from visioncraft_local_onnx.library import ENGINE, Library
from visioncraft_local_onnx.settings import LocalOnnxSettings

if TYPE_CHECKING:
    from visioncraft_local_onnx.pipeline import OnnxModel

_log = logging.getLogger("visioncraft.local_onnx")
_ON_A_GPU = frozenset({"tensorrt", "cuda", "directml"})


class LocalOnnx(CachedGenerator["OnnxModel"]):
    """Draws with ONNX Runtime. Safe to call from several threads.

    Args:
        settings: The plugin's table.
        data_path: The server's data folder; `models-onnx` in it is the default folder of models, `onnx-optimised` keeps
            the graphs that ONNX Runtime optimised.
    """

    name: ClassVar[str] = "local_onnx"
    engines: ClassVar[frozenset[str]] = frozenset({ENGINE})
    exports: ClassVar[str] = ENGINE
    """What `visioncraft models export --to` calls what `export` makes."""

    def __init__(self, settings: LocalOnnxSettings, data_path: Path) -> None:
        super().__init__()
        self.concurrency = settings.concurrency
        self._settings = settings
        self._library = Library(settings, data_path)
        self.configured = self._library.configured
        self._environment = data_path / "environments" / "onnx-export"
        self._optimised = data_path / "onnx-optimised" if settings.keep_optimised else None
        self._provider: str | None = None
        self._threads = 0

    def models(self) -> Sequence[ModelInfo]:
        """The models in the folder of models, and those that settings name."""
        return self._library.models()

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
        from visioncraft_local_onnx.editing import check_abilities, enlarge_alone
        from visioncraft_local_onnx.sampling.names import check_sampler

        if request.only_enlarges:
            return enlarge_alone(request, progress)
        if request.sampler is not None:
            request = replace(request, sampler=check_sampler(request.sampler))
        with self._held(request.model, progress) as loaded:
            check_abilities(request, loaded.folder)
            self._make_room_for_work(loaded.folder, request.width, request.height)
            return self._guarded(
                lambda: self._draw(loaded, request, progress), lambda: self._ran_out(loaded.folder, request)
            )

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

    def _device(self) -> DeviceInfo:
        return probe_device(cpu_only=self._provider not in _ON_A_GPU)

    def _facts(self) -> Mapping[str, Any]:
        return {"provider": self._provider, "threads": self._threads} if self._provider else {}

    def _version(self, model: ModelInfo) -> Hashable:
        return self._library.state(model)

    def _is_out_of_memory(self, error: Exception) -> bool:
        """ONNX Runtime has no error of its own for it."""
        return isinstance(error, MemoryError) or "allocate memory" in str(error) or "bad allocation" in str(error)

    def _open(self, model: ModelInfo, progress: Progress) -> OnnxModel:
        progress.stage("loading")
        folder = self._library.folder(model)
        self._make_room_for_weights(folder)
        return self._read(folder, model)

    def _read(self, folder: OnnxFolder, model: ModelInfo) -> OnnxModel:
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
        if not self._make_room(lambda: needed <= self._room()):
            raise InsufficientVRAM(self._room(), needed, f"Not enough memory for {folder.path.name}")

    def _make_room_for_work(self, folder: OnnxFolder, width: int, height: int) -> None:
        """The same for an image's work."""
        needed = folder.working_gb(width, height)
        if not self._make_room(lambda: needed <= free_memory_gb()):
            raise InsufficientVRAM(free_memory_gb(), needed, NOT_ENOUGH)

    def _ran_out(self, folder: OnnxFolder, request: GenerationRequest) -> InsufficientVRAM:
        """What to say after memory ran out while a model drew. It leaves: ONNX Runtime keeps what it once took."""
        self.unload(request.model)
        return InsufficientVRAM(free_memory_gb(), folder.working_gb(request.width, request.height), NOT_ENOUGH)

    def _room(self) -> float:
        """GB that another model's weights may take."""
        budget = main_memory_budget_gb(self._settings.memory_budget_gb)
        return min(free_memory_gb(), budget - self._cache.resident_gb())

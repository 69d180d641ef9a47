"""The models of this machine: the folder of exported models, and those that settings name."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

from visioncraft import Ability, FoundFile, ModelInfo, find_below, state_of
from visioncraft_diffusion.errors import ModelRefused
from visioncraft_diffusion.families import FAMILIES, limits_of
from visioncraft_diffusion.library import ModelEntry, ModelsFolder, models_path

from visioncraft_local_onnx.folder import OnnxFolder, read_folder
from visioncraft_local_onnx.settings import LocalOnnxSettings

ENGINE = "onnx"
"""The engine this plugin runs."""

_PARTS = ("model_index.json", "unet", "text_encoder", "scheduler")  # what a folder of a model has, or most of it
_log = logging.getLogger("visioncraft.local_onnx")


class Library:
    """Finds models. Reads names and configurations only.

    Args:
        settings: The plugin's table.
        data_path: The server's data folder.
    """

    def __init__(self, settings: LocalOnnxSettings, data_path: Path) -> None:
        self.models_dir = models_path(settings.models_dir, data_path, "models-onnx")
        self._folder = ModelsFolder(
            ENGINE, self.models_dir, settings.models, "plugins.config.local_onnx.models", _models_below, _log
        )
        self.configured = self._folder.configured

    def models(self) -> list[ModelInfo]:
        """Every model, also those that cannot draw; a model that settings name hides others of its name."""
        found = self._folder.models()
        entries = self._folder.entries_of(found)
        return [entries.get(info.id, ModelEntry()).describe(self._looked_at(info)) for info in found]

    def state(self, model: ModelInfo) -> Hashable:
        """Another one whenever a model's files are others; None where there are none."""
        return None if model.source is None else state_of(Path(model.source).expanduser())

    def folder(self, model: ModelInfo) -> OnnxFolder:
        """The checked folder behind a model, this plugin's or another's. Raises `ModelRefused`."""
        if model.source is None:
            raise ModelRefused(model.suggestion or f"model '{model.id}' names no folder")
        return read_folder(Path(model.source).expanduser())

    def _looked_at(self, info: ModelInfo) -> ModelInfo:
        """A model with what its folder says."""
        if info.source is None:
            return info
        try:
            folder = read_folder(Path(info.source))
        except ModelRefused as refused:
            return self._folder.refused(info, str(refused))
        facts, limits = FAMILIES[folder.family], limits_of(info.id, folder.family)
        edits: frozenset[Ability] = frozenset({"init_image", "mask"}) if "vae_encoder" in folder.graphs else frozenset()
        return replace(
            info,
            vram_required=facts.memory,
            description=f"A {facts.title} model, exported to ONNX",
            limits=replace(limits, size_multiple=folder.size_multiple),
            abilities=edits,
        )


def _models_below(folder: Path) -> list[FoundFile]:
    return list(find_below(folder, _is_model))


def _is_model(path: Path, folder: bool) -> bool:
    """Whether a folder is a model, or was meant to be one; others may hold models."""
    if not folder:
        return False
    inside = list(path.iterdir())
    return any(each.name in _PARTS for each in inside) or not any(each.is_dir() for each in inside)

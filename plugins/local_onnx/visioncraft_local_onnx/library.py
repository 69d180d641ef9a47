"""The models of this machine: the folder of exported models, and those that settings name."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path

from visioncraft import Ability, ByName, Limits, ModelInfo, canonical_id, find_below, named_files, state_of

from visioncraft_local_onnx.folder import ModelRefused, OnnxFolder, read_folder
from visioncraft_local_onnx.settings import LocalOnnxSettings, ModelEntry

ENGINE = "onnx"
"""The engine this plugin runs."""

_FACTS = {  # what people read of a family: memory, max_resolution, description
    "sd1": ("4-6GB", (1024, 1024), "A Stable Diffusion 1.x model, exported to ONNX"),
    "sd2": ("5-7GB", (1024, 1024), "A Stable Diffusion 2.x model, exported to ONNX"),
    "sdxl": ("8-12GB", (2048, 2048), "A Stable Diffusion XL model, exported to ONNX"),
}
_PARTS = ("model_index.json", "unet", "text_encoder", "scheduler")  # what a folder of a model has, or most of it
_CONTRACTED = "stable-diffusion-1.5"  # the model that the API's contract has limits for
_OWN_STEPS, _OWN_GUIDANCE = (1, 150), (0.0, 30.0)  # distilled models draw in 1 to 8 steps, with little guidance or none
_log = logging.getLogger("visioncraft.local_onnx")


class Library:
    """Finds models. Reads names and configurations only.

    Parameters
    ----------
    settings: The plugin's table.
    data_path: The server's data folder.
    """

    def __init__(self, settings: LocalOnnxSettings, data_path: Path) -> None:
        self._settings = settings
        named = settings.models_dir
        self.models_dir = data_path / "models-onnx" if named == "auto" else data_path / Path(named).expanduser()
        self._warned: set[str] = set()

    def models(self) -> list[ModelInfo]:
        """Every model, also those that cannot draw; a model that settings name hides others of its name."""
        named, files = list(self._named()), list(self._in_folder())
        known = ByName(files)
        hidden = {id(known.get(info.id)) for info in named}
        found: dict[str, ModelInfo] = {}
        for info in (*named, *(info for info in files if id(info) not in hidden)):
            found.setdefault(canonical_id(info.id), info)
        known = ByName(list(found.values()))
        meant = ((known.get(name), entry) for name, entry in self._settings.models.items())
        entries = {info.id: entry for info, entry in meant if info is not None}
        return [_told(info, entries[info.id]) if info.id in entries else info for info in found.values()]

    def state(self, model: ModelInfo) -> Hashable:
        """Another one whenever a model's files are others; None where there are none."""
        return None if model.source is None else state_of(Path(model.source).expanduser())

    def folder(self, model: ModelInfo) -> OnnxFolder:
        """The checked folder behind a model, this plugin's or another's. Raises `ModelRefused`."""
        if model.source is None:
            raise ModelRefused(model.suggestion or f"model '{model.id}' names no folder")
        return read_folder(Path(model.source).expanduser())

    def _named(self) -> Iterator[ModelInfo]:
        for model_id, entry in self._settings.models.items():
            if entry.path is not None:
                yield self._describe(entry.path.expanduser(), model_id, model_id)

    def _in_folder(self) -> Iterator[ModelInfo]:
        for each in named_files(list(find_below(self.models_dir, _is_model))):
            name, trouble = each.aliases[0], each.file.trouble
            if trouble:  # its place may be no text, which nothing could be sent with
                refused = self._refused(ModelInfo(each.id, name, ENGINE), f"{name} {trouble}")
                yield replace(refused, aliases=each.aliases)
            else:
                yield replace(self._describe(each.file.path, each.id, name), aliases=each.aliases)

    def _describe(self, path: Path, model_id: str, name: str) -> ModelInfo:
        info = ModelInfo(id=model_id, name=name, engine=ENGINE, source=str(path))
        try:
            folder = read_folder(path)
        except ModelRefused as refused:
            return self._refused(info, str(refused))
        memory, resolution, description = _FACTS[folder.family]
        contracted = canonical_id(model_id) == canonical_id(_CONTRACTED)
        usual = Limits() if contracted else Limits(_OWN_STEPS, _OWN_GUIDANCE)
        limits = replace(usual, size_multiple=folder.size_multiple, max_resolution=resolution)
        edits: frozenset[Ability] = frozenset({"init_image", "mask"}) if "vae_encoder" in folder.graphs else frozenset()
        return replace(info, vram_required=memory, description=description, limits=limits, abilities=edits)

    def _refused(self, info: ModelInfo, reason: str) -> ModelInfo:
        if (warning := f"{info.id} {reason}") not in self._warned:
            self._warned.add(warning)
            _log.warning("model '%s' is not available: %s", info.id, reason)
        return replace(info, available=False, suggestion=reason)


def _told(info: ModelInfo, entry: ModelEntry) -> ModelInfo:
    """A model with what settings say of it."""
    usual = info.limits
    steps, guidance = entry.steps or usual.steps, entry.guidance_scale or usual.guidance_scale
    return replace(
        info,
        name=entry.name or info.name,
        description=entry.description or info.description,
        limits=replace(usual, steps=steps, guidance_scale=guidance),
    )


def _is_model(path: Path, folder: bool) -> bool:
    """Whether a folder is a model, or was meant to be one; others may hold models."""
    if not folder:
        return False
    inside = list(path.iterdir())
    return any(each.name in _PARTS for each in inside) or not any(each.is_dir() for each in inside)

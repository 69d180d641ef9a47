"""The models of this machine: Stable Diffusion 1.5, the folder of models, and those that settings name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import get_args

from visioncraft import Ability, FoundFile, Limits, ModelInfo, canonical_id, find_below, read_bounded, state_of
from visioncraft_diffusion.families import FAMILIES, SD15
from visioncraft_diffusion.library import ModelsFolder, models_path

from visioncraft_local_sd.settings import LocalSDSettings, ModelEntry
from visioncraft_local_sd.weights.checkpoints import Checkpoint, read_checkpoint
from visioncraft_local_sd.weights.safety import PICKLES, CheckpointRefused

ENGINE = "diffusers"
"""The engine this plugin runs."""

SD15_REPOSITORIES = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5")
"""Where the weights of Stable Diffusion 1.5, which is always listed, live on the Hugging Face hub, now and once."""

ABILITIES: frozenset[Ability] = frozenset(get_args(Ability))
"""What every model that this engine runs is able to."""

_NO_MODELS = frozenset({"loras", "controlnets", "embeddings", "vaes", "upscalers", "taesd", "taesdxl"})
_MARKS = ("model_index.json", "config.json", "unet/config.json")  # of a folder that is one model, or meant to be one
_log = logging.getLogger("visioncraft.local_sd")


class Library:
    """Finds models and resolves where they are. Reads names and headers only.

    Args:
        settings: The plugin's table.
        data_path: The server's data folder.
    """

    def __init__(self, settings: LocalSDSettings, data_path: Path) -> None:
        self.models_dir = models_path(settings.models_dir, data_path, "models")
        self._folder = ModelsFolder(
            ENGINE, self.models_dir, settings.models, "plugins.config.local_sd.models", _models_below, _log
        )
        self.named, self.configured = self._folder.named, self._folder.configured
        self._hf_cache = None if settings.hf_cache == "auto" else Path(settings.hf_cache).expanduser()

    @property
    def hf_cache(self) -> Path:
        """The Hugging Face cache in use."""
        if self._hf_cache is not None:
            return self._hf_cache
        from huggingface_hub.constants import HF_HUB_CACHE

        return Path(HF_HUB_CACHE)

    def models(self) -> list[ModelInfo]:
        """Every model, also those that cannot draw; a model that settings name hides others of its name."""
        found = self._found()
        entries = self._folder.entries_of(found)
        return [self._described(info, entries.get(info.id, ModelEntry())) for info in found]

    def checkpoint(self, model: ModelInfo) -> Checkpoint:
        """The checked checkpoint behind a model. Raises `CheckpointRefused`."""
        place = self._place(model)
        if place is None:
            raise CheckpointRefused(model.suggestion or f"model '{model.id}' names no weights")
        return read_checkpoint(place, self.entry(model).prediction_type)

    def state(self, model: ModelInfo) -> Hashable:
        """Another one whenever a model's files are others; None where there are none."""
        place = self._place(model)
        return None if place is None else state_of(place)

    def entry(self, model: ModelInfo) -> ModelEntry:
        """What settings say of a model, this plugin's or another's, under whatever name of its own."""
        if not self._folder.entries:
            return ModelEntry()
        return self._folder.entries_of([*self._found(), model]).get(model.id, ModelEntry())

    def vae(self, model: ModelInfo) -> str:
        """The name of the VAE that settings have a model draw with; empty for its own."""
        return self.entry(model).vae

    def cached(self, repository: str) -> Path | None:
        """The newest snapshot of a hub repository in the Hugging Face cache, without asking the network."""
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            return None
        root = self.hf_cache / f"models--{repository.replace('/', '--')}"
        try:
            commit = read_bounded(root / "refs" / "main", 1000).decode("ascii").strip()
        except (OSError, ValueError):
            return None
        snapshot = root / "snapshots" / commit
        return snapshot if commit.isalnum() and snapshot.is_dir() else None

    def _sd15(self) -> ModelInfo:
        info = ModelInfo(
            id=SD15,
            name="Stable Diffusion 1.5",
            engine=ENGINE,
            quality="Excellent",
            vram_required=FAMILIES["sd1"].memory,
            description="High-quality general purpose model",
            source=SD15_REPOSITORIES[0],
            abilities=ABILITIES,
        )
        for repository in SD15_REPOSITORIES:
            snapshot = self.cached(repository)
            if snapshot is not None and self._readable(snapshot):
                return replace(info, source=str(snapshot))
        return replace(info, available=False, suggestion=f"visioncraft models pull {SD15}")

    def _found(self) -> list[ModelInfo]:
        """Every model by its names and place, nothing of it looked at."""
        return [replace(info, abilities=ABILITIES) for info in self._folder.models(self._sd15())]

    def _place(self, model: ModelInfo) -> Path | None:
        if model.source is None:
            return None
        path = Path(model.source).expanduser()
        return path if path.exists() else self.cached(model.source) or path

    def _described(self, info: ModelInfo, entry: ModelEntry) -> ModelInfo:
        """A model as people read of it, after a look at what it is."""
        known = info.description  # of Stable Diffusion 1.5 everything is known, wherever it lies
        if not known and info.source is not None:
            info = self._looked_at(info, Path(info.source), entry)
        return entry.describe(info)

    def _looked_at(self, info: ModelInfo, path: Path, entry: ModelEntry) -> ModelInfo:
        try:
            checkpoint = read_checkpoint(path, entry.prediction_type)
        except CheckpointRefused as refused:
            return self._folder.refused(info, str(refused))
        edition, family = checkpoint.edition, checkpoint.kind
        maker = f", which its maker calls {checkpoint.title}" if checkpoint.title else ""
        return replace(
            info,
            vram_required=edition.memory,
            description=f"A {edition.title} model{maker}",
            limits=Limits() if canonical_id(info.id) == canonical_id(SD15) else edition.limits,
            defaults=edition.defaults,
            samplers=family.samplers,
            abilities=family.abilities,
            licence=edition.licence,
        )

    def _readable(self, snapshot: Path) -> bool:
        try:
            read_checkpoint(snapshot)
        except CheckpointRefused as refused:
            self._folder.warn_once(f"{SD15} in the Hugging Face cache is not usable: {refused}")
            return False
        return True


def _models_below(folder: Path) -> list[FoundFile]:
    return [each for each in find_below(folder, _is_model, _NO_MODELS) if not _has_safe_twin(each)]


def _is_model(path: Path, folder: bool) -> bool:
    if folder:
        return any(os.path.lexists(path / mark) for mark in _MARKS)
    return path.suffix.lower() in {".safetensors", *PICKLES}


def _has_safe_twin(found: FoundFile) -> bool:
    """Whether this is a pickle, which nobody may load, beside the same model's weights."""
    if found.path.suffix.lower() not in PICKLES:
        return False
    folder = found.path.with_suffix("")
    return found.path.with_suffix(".safetensors").exists() or (folder.is_dir() and _is_model(folder, True))

"""The models of this machine: Stable Diffusion 1.5, the folder of models, and those that settings name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import get_args

from visioncraft import (
    Ability,
    ByName,
    FoundFile,
    Limits,
    ModelInfo,
    canonical_id,
    find_below,
    named_files,
    read_bounded,
    state_of,
)

from visioncraft_local_sd.settings import LocalSDSettings, ModelEntry
from visioncraft_local_sd.weights.checkpoints import Checkpoint, read_checkpoint
from visioncraft_local_sd.weights.safety import PICKLES, CheckpointRefused

ENGINE = "diffusers"
"""The engine this plugin runs."""

SD15 = "stable-diffusion-1.5"
"""The id of Stable Diffusion 1.5, which is always listed."""

SD15_REPOSITORIES = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5")
"""Where its weights live on the Hugging Face hub, now and once."""

ABILITIES: frozenset[Ability] = frozenset(get_args(Ability))
"""What every model that this engine runs is able to."""

_FACTS = {  # what people read of a family: vram_required, max_resolution
    "sd1": ("4-6GB", (1024, 1024), "A Stable Diffusion 1.x model"),
    "sd2": ("5-7GB", (1024, 1024), "A Stable Diffusion 2.x model"),
    "sdxl": ("8-12GB", (2048, 2048), "A Stable Diffusion XL model"),
}
_OWN_STEPS, _OWN_GUIDANCE = (1, 150), (0.0, 30.0)  # distilled models draw in 1 to 8 steps, with little guidance or none
_NO_MODELS = frozenset({"loras", "controlnets", "embeddings", "vaes", "upscalers", "taesd", "taesdxl"})
_MARKS = ("model_index.json", "config.json", "unet/config.json")  # of a folder that is one model, or meant to be one
_log = logging.getLogger("visioncraft.local_sd")


class Library:
    """Finds models and resolves where they are. Reads names and headers only.

    Parameters
    ----------
    settings: The plugin's table.
    data_path: The server's data folder.
    """

    def __init__(self, settings: LocalSDSettings, data_path: Path) -> None:
        self._settings = settings
        named = settings.models_dir
        self.models_dir = data_path / "models" if named == "auto" else data_path / Path(named).expanduser()
        self._hf_cache = None if settings.hf_cache == "auto" else Path(settings.hf_cache).expanduser()
        self._warned: set[str] = set()

    @cached_property
    def named(self) -> frozenset[str]:
        """Ids of the models that settings say the place of."""
        return frozenset(model_id for model_id, entry in self._settings.models.items() if entry.path is not None)

    @cached_property
    def tables(self) -> frozenset[str]:
        """Names of the models that settings say something else of, whoever lists them."""
        return frozenset(self._settings.models) - self.named

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
        entries = self._entries(found)
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
        if not self._settings.models:
            return ModelEntry()
        return self._entries([*self._found(), model]).get(model.id, ModelEntry())

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
            vram_required="4-6GB",
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
        named, files = list(self._named()), list(self._in_folder())
        known = ByName(files)
        hidden = {id(known.get(info.id)) for info in named}
        found: dict[str, ModelInfo] = {}
        for info in (*named, *(info for info in files if id(info) not in hidden), self._sd15()):
            found.setdefault(canonical_id(info.id), info)
        return list(found.values())

    def _entries(self, models: list[ModelInfo]) -> Mapping[str, ModelEntry]:
        """What settings say of these models, by id."""
        known = ByName(models)
        names: dict[str, str] = {}
        for name in self._settings.models:
            info = known.get(name)
            if info is not None and names.setdefault(info.id, name) != name:
                table = f"plugins.config.local_sd.models.{name}"
                self._warn_once(table, f"{table} counts for nothing: that of {names[info.id]} is for the same model")
        return {model_id: self._settings.models[name] for model_id, name in names.items()}

    def _place(self, model: ModelInfo) -> Path | None:
        if model.source is None:
            return None
        path = Path(model.source).expanduser()
        return path if path.exists() else self.cached(model.source) or path

    def _named(self) -> Iterator[ModelInfo]:
        for model_id, entry in self._settings.models.items():
            if entry.path is not None:
                yield _info(model_id, model_id, str(entry.path.expanduser()))

    def _in_folder(self) -> Iterator[ModelInfo]:
        found = [each for each in find_below(self.models_dir, _is_model, _NO_MODELS) if not _has_safe_twin(each)]
        for each in named_files(found):
            info = _info(each.id, each.aliases[0], str(each.file.path))
            if each.file.trouble:  # its place may be no text, which nothing could be sent with
                trouble = f"{each.file.name} {each.file.trouble}"
                self._warn_once(trouble, f"model '{each.id}' is not available: {trouble}")
                info = replace(info, source=None, available=False, suggestion=trouble)
            yield replace(info, aliases=each.aliases)

    def _described(self, info: ModelInfo, entry: ModelEntry) -> ModelInfo:
        """A model as people read of it, after a look at what it is."""
        known = info.description  # of Stable Diffusion 1.5 everything is known, wherever it lies
        info = replace(info, name=entry.name or info.name, description=entry.description or known)
        if known or info.source is None:
            return replace(info, limits=_limits(info.id, entry, Limits()))
        try:
            checkpoint = read_checkpoint(Path(info.source), entry.prediction_type)
        except CheckpointRefused as refused:
            self._warn_once(f"{info.id} {refused}", f"model '{info.id}' is not available: {refused}")
            return replace(info, available=False, suggestion=str(refused))
        vram, resolution, description = _FACTS[checkpoint.family]
        if checkpoint.title:
            description += f", which its maker calls {checkpoint.title}"
        limits = _limits(info.id, entry, Limits(_OWN_STEPS, _OWN_GUIDANCE, max_resolution=resolution))
        return replace(info, vram_required=vram, description=entry.description or description, limits=limits)

    def _readable(self, snapshot: Path) -> bool:
        try:
            read_checkpoint(snapshot)
        except CheckpointRefused as refused:
            self._warn_once(str(snapshot), f"{SD15} in the Hugging Face cache is not usable: {refused}")
            return False
        return True

    def _warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            _log.warning(message)


def _info(model_id: str, name: str, source: str) -> ModelInfo:
    return ModelInfo(id=model_id, name=name, engine=ENGINE, source=source, abilities=ABILITIES)


def _limits(model_id: str, entry: ModelEntry, own: Limits) -> Limits:
    """What a model takes: what settings say, else the contract's for the contract's model, else its own."""
    usual = Limits() if canonical_id(model_id) == canonical_id(SD15) else own
    steps, guidance = entry.steps or usual.steps, entry.guidance_scale or usual.guidance_scale
    return replace(usual, steps=steps, guidance_scale=guidance)


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

"""The models of this machine: Stable Diffusion 1.5, the folder of models, and those that settings name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

from visioncraft import Ability, Limits, ModelInfo, canonical_id, model_id_of

from visioncraft_local_sd.checkpoints import Checkpoint, read_checkpoint
from visioncraft_local_sd.safety import PICKLES, CheckpointRefused
from visioncraft_local_sd.settings import LocalSDSettings

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

    @property
    def named(self) -> frozenset[str]:
        """Ids of the models that settings say the place of."""
        return frozenset(model_id for model_id, entry in self._settings.models.items() if entry.path is not None)

    @property
    def hf_cache(self) -> Path:
        """The Hugging Face cache in use."""
        if self._hf_cache is not None:
            return self._hf_cache
        from huggingface_hub.constants import HF_HUB_CACHE

        return Path(HF_HUB_CACHE)

    def models(self) -> list[ModelInfo]:
        """Every model, also those that cannot draw; a model that settings name hides others of its id."""
        found: dict[str, ModelInfo] = {}
        for info in (*self._named(), *self._in_folder(), self._sd15()):
            found.setdefault(canonical_id(info.id), info)
        return list(found.values())

    def checkpoint(self, model: ModelInfo) -> Checkpoint:
        """The checked checkpoint behind a model. Raises `CheckpointRefused`."""
        if model.source is None:
            raise CheckpointRefused(model.suggestion or f"model '{model.id}' names no weights")
        entry = self._settings.models.get(model.id)
        path = Path(model.source).expanduser()
        if not path.exists():
            path = self.cached(model.source) or path
        return read_checkpoint(path, entry.prediction_type if entry else "auto")

    def vae(self, model: ModelInfo) -> str:
        """The name of the VAE that settings have a model draw with; empty for its own."""
        entry = self._settings.models.get(model.id)
        return entry.vae if entry else ""

    def cached(self, repository: str) -> Path | None:
        """The newest snapshot of a hub repository in the Hugging Face cache, without asking the network."""
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            return None
        root = self.hf_cache / f"models--{repository.replace('/', '--')}"
        try:
            commit = (root / "refs" / "main").read_text(encoding="ascii").strip()
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

    def _named(self) -> Iterator[ModelInfo]:
        for model_id, entry in self._settings.models.items():
            if entry.path is None:
                continue
            info = self._describe(entry.path.expanduser(), model_id)
            yield replace(info, name=entry.name or info.name, description=entry.description or info.description)

    def _in_folder(self) -> Iterator[ModelInfo]:
        try:
            entries = sorted(self.models_dir.iterdir())
        except OSError:  # the folder appears with the first model
            return
        for path in entries:
            if path.name.startswith("."):
                continue
            file_like = path.suffix.lower() in {".safetensors", *PICKLES}
            if file_like or (path / "model_index.json").is_file():
                stem = path.stem if file_like else path.name
                yield self._describe(path, model_id_of(stem), stem)

    def _describe(self, path: Path, model_id: str, name: str = "") -> ModelInfo:
        info = ModelInfo(id=model_id, name=name or model_id, engine=ENGINE, source=str(path), abilities=ABILITIES)
        try:
            vram, resolution, description = _FACTS[read_checkpoint(path).family]
        except CheckpointRefused as refused:
            self._warn_once(str(path), f"model '{model_id}' is not available: {refused}")
            return replace(info, available=False, suggestion=str(refused))
        limits = Limits(max_resolution=resolution)
        return replace(info, vram_required=vram, description=description, limits=limits)

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

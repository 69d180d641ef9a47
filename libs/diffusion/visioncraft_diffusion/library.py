"""Models in a folder and models that settings name: which there are, and under which names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import model_validator
from visioncraft import ByName, FoundFile, ModelInfo, PluginSettings, canonical_id, named_files

_MOST_STEPS, _MOST_GUIDANCE = 1000, 100.0  # what settings may say of a model at most: schedulers have 1000 timesteps


class ModelEntry(PluginSettings):
    """What settings say of one model: one that lies outside the folder of models, or that needs a word more.

    Args:
        path: Where the model lies; None for a model that is found without it.
        name: What people read; the id where empty.
        description: One sentence.
        steps: Fewest and most denoising steps that a request may ask for; None for what the engine draws in.
        guidance_scale: Lowest and highest guidance scale, likewise.
    """

    path: Path | None = None
    name: str = ""
    description: str = ""
    steps: tuple[int, int] | None = None
    guidance_scale: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _from_low_to_high(self) -> ModelEntry:
        low, high = self.steps or (1, 1)
        if not 1 <= low <= high <= _MOST_STEPS:
            raise ValueError(f"steps are [fewest, most], within 1 to {_MOST_STEPS}, as [1, 8]")
        least, most = self.guidance_scale or (0, 0)
        if not 0 <= least <= most <= _MOST_GUIDANCE:
            raise ValueError(f"guidance_scale is [lowest, highest], within 0 to {_MOST_GUIDANCE:g}, as [0.0, 2.0]")
        return self

    def describe(self, info: ModelInfo) -> ModelInfo:
        """Returns the model with what is said here in place of what is known of it otherwise."""
        usual = info.limits
        steps, guidance = self.steps or usual.steps, self.guidance_scale or usual.guidance_scale
        return replace(
            info,
            name=self.name or info.name,
            description=self.description or info.description,
            limits=replace(usual, steps=steps, guidance_scale=guidance),
        )


E = TypeVar("E", bound=ModelEntry)


def models_path(setting: str, data_path: Path, usual: str) -> Path:
    """Returns the folder of models.

    Args:
        setting: `auto`, or a path, which may begin in the data folder or in `~`.
        data_path: The server's data folder.
        usual: What the folder is called in there where the setting is `auto`.
    """
    return data_path / usual if setting == "auto" else data_path / Path(setting).expanduser()


@dataclass(frozen=True)
class ModelsFolder(Generic[E]):
    """The models of one engine by their names and places. What a model is, its engine looks at.

    Args:
        engine: The engine that runs them.
        path: The folder; it need not exist.
        entries: What settings say of models, by whatever name of theirs.
        table: Where in the settings that stands: `plugins.config.local_sd.models`.
        find: Finds the files and folders in a folder that are models.
        log: Where models that cannot be drawn with are warned of, each once.
    """

    engine: str
    path: Path
    entries: Mapping[str, E]
    table: str
    find: Callable[[Path], Iterable[FoundFile]]
    log: logging.Logger
    _warned: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def named(self) -> frozenset[str]:
        """Ids of the models that settings say the place of."""
        return frozenset(name for name, entry in self.entries.items() if entry.path is not None)

    @property
    def configured(self) -> frozenset[str]:
        """Names of the models that settings say something else of, whoever lists them: see `Generator.configured`."""
        return frozenset(self.entries) - self.named

    def models(self, *others: ModelInfo) -> list[ModelInfo]:
        """Lists every model, nothing of it looked at; one that settings name hides others of its name.

        Args:
            others: Models that the engine knows of itself. Any other of that id hides them.
        """
        named, files = list(self._named()), list(self._in_folder())
        known = ByName(files)
        hidden = {id(known.get(info.id)) for info in named}
        found: dict[str, ModelInfo] = {}
        for info in (*named, *(info for info in files if id(info) not in hidden), *others):
            found.setdefault(canonical_id(info.id), info)
        return list(found.values())

    def entries_of(self, models: Sequence[ModelInfo]) -> Mapping[str, E]:
        """Returns what settings say of these models, by id. Of two tables for one model the first counts."""
        known = ByName(models)
        names: dict[str, str] = {}
        for name in self.entries:
            info = known.get(name)
            if info is not None and names.setdefault(info.id, name) != name:
                table = f"{self.table}.{name}"
                self.warn_once(f"{table} counts for nothing: that of {names[info.id]} is for the same model")
        return {model_id: self.entries[name] for model_id, name in names.items()}

    def refused(self, info: ModelInfo, reason: str) -> ModelInfo:
        """Returns a model that cannot be drawn with, and warns of it."""
        self.warn_once(f"model '{info.id}' is not available: {reason}")
        return replace(info, available=False, suggestion=reason)

    def warn_once(self, message: str) -> None:
        """Writes a warning into the log, unless it stands there already: models are listed again and again."""
        if message not in self._warned:
            self._warned.add(message)
            self.log.warning("%s", message)

    def _named(self) -> Iterator[ModelInfo]:
        for model_id, entry in self.entries.items():
            if entry.path is not None:
                yield ModelInfo(id=model_id, name=model_id, engine=self.engine, source=str(entry.path.expanduser()))

    def _in_folder(self) -> Iterator[ModelInfo]:
        for each in named_files(list(self.find(self.path))):
            info = ModelInfo(id=each.id, name=each.aliases[0], engine=self.engine, source=str(each.file.path))
            if each.file.trouble:  # its place may be no text, which nothing could be sent with
                info = self.refused(replace(info, source=None), f"{each.file.name} {each.file.trouble}")
            yield replace(info, aliases=each.aliases)

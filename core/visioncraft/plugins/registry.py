"""What the plugins offer, put together: generators by name, models by id, the one store."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import NoReturn

from visioncraft.errors import ConfigurationError, ModelNotAvailable
from visioncraft.plugins.claims import Claims, every
from visioncraft.plugins.contracts import Generator, ImageStore, ModelKeeper
from visioncraft.plugins.guard import call_with_timeout, one_line
from visioncraft.plugins.info import PluginInfo
from visioncraft.plugins.manager import PluginManager
from visioncraft.settings import Settings
from visioncraft.types.models import ModelInfo, StoredModel, canonical_id
from visioncraft.types.naming import ByName

log = logging.getLogger(__name__)

CONTRACTS_DEFAULT = "stable-diffusion-1.5"
"""The model that the API's contract names as the default: `default_model = "auto"` means it where it can draw."""

_FORGETS = "memory"  # the core's own store
_IN_TROUBLE = ("failed", "incompatible")


class Registry:
    """Everything that draws and stores, under unambiguous names.

    Args:
        settings: Select among what is offered.
        manager: Has discovered its plugins.

    Raises `ConfigurationError` where settings select something that is missing or failed.
    """

    def __init__(self, settings: Settings, manager: PluginManager) -> None:
        self.settings = settings
        self._manager = manager
        self.generators = self._collect_generators()
        self._own: ByName[ModelInfo] = ByName(())
        self._model_ids = Claims[ModelInfo]("model", lambda model: model.id, self._key)
        self._models: dict[str, ModelInfo] = {}
        self._by_name: ByName[ModelInfo] = ByName(())
        self._warned: set[str] = set()
        self._owned: set[str] = set()
        self.refresh()
        self.store = self._select_store()
        self._check_default()

    def refresh(self) -> None:
        """Ask for the models again: weights come and go while the server runs."""
        offered = list(self._offered_models())
        self._own = ByName([model for info, model in offered if info.ours])
        settled = self._model_ids.settle((info, self._without_ours(info, model)) for info, model in offered)
        self._models = {key: model for key, (_, model) in settled.items()}
        self._owned = {model.id for info, model in settled.values() if info.ours}
        self._by_name = ByName(self._models.values())
        self._warn_of_unknown_tables()

    def _key(self, name: str) -> str:
        """What is one id in any spelling; every name of a model of VisionCraft's own is that model's."""
        own = self._own.get(name)
        return canonical_id(own.id if own else name)

    def _without_ours(self, info: PluginInfo, model: ModelInfo) -> ModelInfo:
        """A model without the aliases that mean one of VisionCraft's own; they are theirs."""
        if info.ours or not any(map(self._own.get, model.aliases)):
            return model
        return replace(model, aliases=tuple(name for name in model.aliases if self._own.get(name) is None))

    def keepers(self) -> list[ModelKeeper]:
        """The generators that keep weights."""
        return [generator for generator in self.generators.values() if isinstance(generator, ModelKeeper)]

    def parts(self) -> list[StoredModel]:
        """What models draw with beside their own weights; a generator that cannot list its parts lists none."""
        found: list[StoredModel] = []
        for keeper in self.keepers():
            try:
                found += call_with_timeout(self.settings.plugins.hook_timeout_s, keeper.parts, "parts()")
            except Exception as error:
                log.warning("a generator could not list what it draws with: %s", one_line(error))
        return found

    def known(self, name: str) -> ModelInfo | None:
        """The model of a name, its id or another one, whether or not it can draw; None where there is none."""
        return self._by_name.get(name)

    def models(self) -> list[ModelInfo]:
        """All models known, those without weights too, by id."""
        return [self._models[key] for key in sorted(self._models)]

    def available(self) -> list[ModelInfo]:
        """The models that can draw now: their weights are present and a generator runs their engine."""
        return [model for model in self.models() if model.available and self._runners(model)]

    def model(self, name: str | None) -> ModelInfo:
        """The model a request means, as of the last `refresh`; None means the default. Raises `ModelNotAvailable`."""
        found = self._usable(name)
        if found is None:
            self._refuse(name)
        return found

    def default_model(self) -> ModelInfo | None:
        """The model of a request that names none; None when nothing can draw."""
        automatic = self.settings.default_model == "auto"
        wanted = self.known(CONTRACTS_DEFAULT if automatic else self.settings.default_model)
        available = self.available()
        if any(wanted is usable for usable in available):
            return wanted
        local = [model for model in available if model.kind == "local"]
        return min(local, key=self._rank, default=None) if automatic else None

    def generator_for(self, model: ModelInfo) -> Generator:
        """The generator that runs the model's engine, preferred ones first. Raises `ModelNotAvailable`."""
        runners = self._runners(model)
        if not runners:
            self._refuse(model.id)
        return runners[0]

    def owner(self, generator: str) -> str:
        """The name of the plugin that brings a generator."""
        return self._generator_owners[generator].name

    def _rank(self, model: ModelInfo) -> tuple[bool, int]:
        """VisionCraft's own models first, among these the ones that are preferred."""
        return model.id not in self._owned, -model.preferred

    def _usable(self, name: str | None) -> ModelInfo | None:
        if name is None:
            return self.default_model()
        model = self.known(name)
        return model if model is not None and model.available and self._runners(model) else None

    def _refuse(self, name: str | None) -> NoReturn:
        wanted = name or self.settings.default_model
        known = self.known(wanted)
        suggestion = known.suggestion if known else None
        if known is not None and known.available:
            suggestion = f"install a generator that runs the engine '{known.engine}'"
        suggestion = self._failure(known) or suggestion
        if name is None and wanted == "auto":  # nothing can draw: any model that can be had is a way out
            ways = [model.suggestion for model in self.models() if model.suggestion]
            suggestion = next(iter(ways), "no plugin here brings a model that can draw; README.md has those that do")
        raise ModelNotAvailable(wanted, [model.id for model in self.available()], suggestion)

    def _failure(self, known: ModelInfo | None) -> str | None:
        """That the plugin which would draw a model is in trouble, where that is so or, of an unknown model, may be."""
        troubled = {info.name: info for info in self._manager.plugins.values() if info.status in _IN_TROUBLE}
        if known is None and troubled:
            names = ", ".join(f"'{name}'" for name in sorted(troubled))
            return f"a plugin that failed may have it ({names}): see `visioncraft plugins`"
        if known is None or self._runners(known) or known.engine not in troubled:
            return None
        info = troubled[known.engine]
        return f"plugin '{info.name}', which draws it, {info.standing}; see `visioncraft plugins`"

    def _runners(self, model: ModelInfo) -> list[Generator]:
        """The generators that run it: those of `generation.backends` first, then those of its first engine.

        Of several for one engine VisionCraft's own comes first, then the one that has the engine's name: a plugin that
        is installed later takes no model over without a word in the settings.
        """
        order = {name: rank for rank, name in enumerate(self.settings.generation.backends)}
        engines = (model.engine, *model.also)
        fits = []
        for name, generator in self.generators.items():
            rank = next((rank for rank, engine in enumerate(engines) if engine in {name, *generator.engines}), None)
            if rank is not None:
                stranger = not self._generator_owners[name].ours, name != engines[rank]
                fits.append((order.get(name, len(order)), rank, stranger, name))
        return [self.generators[name] for *_, name in sorted(fits)]

    def _offered_models(self) -> Iterator[tuple[PluginInfo, ModelInfo]]:
        for name, generator in list(self.generators.items()):
            info = self._generator_owners[name]
            yield from ((info, model) for model in self._models_of(name, generator, info))
        for info, models in self._manager.collect("visioncraft_models"):
            yield from ((info, model) for model in models)

    def _models_of(self, name: str, generator: Generator, info: PluginInfo) -> list[ModelInfo]:
        """What a generator lists. One that raises or hangs lists nothing, and its plugin says so until it answers."""
        trouble = f"generator '{name}' could not list its models"
        try:
            offered = call_with_timeout(
                self.settings.plugins.hook_timeout_s, lambda: list(generator.models()), f"{name}.models()"
            )
            if not all(isinstance(model, ModelInfo) for model in offered):
                raise TypeError("it answered what is no ModelInfo")
        except Exception as error:
            info.error = f"{trouble}: {one_line(error)}"
            log.warning("%s", info.error)
            return []
        if info.error and info.error.startswith(trouble):
            info.error = None
        return list(offered)

    def _warn_of_unknown_tables(self) -> None:
        for name, generator in self.generators.items():
            for each in generator.configured:
                key = f"plugins.config.{name}.models.{each}"
                if self.known(each) is None and key not in self._warned:
                    self._warned.add(key)
                    known = ", ".join(model.id for model in self.models() if model.engine in generator.engines)
                    log.warning("%s: no model is called so, and nothing in it counts; known: %s", key, known or "none")

    def _collect_generators(self) -> dict[str, Generator]:
        offered = every(self._manager.collect("visioncraft_generators"))
        settled = Claims[Generator]("generator", lambda generator: generator.name).settle(offered)
        self._generator_owners = {name: info for name, (info, _) in settled.items()}
        generators = {name: generator for name, (_, generator) in settled.items()}
        for name in self.settings.generation.backends:
            if name not in generators:
                self._manager.require(name, "generation.backends")
                raise ConfigurationError(f"generation.backends selects '{name}', but that plugin offers no generator")
        return generators

    def _select_store(self) -> ImageStore:
        offered = every(self._manager.collect("visioncraft_stores"))
        settled = Claims[ImageStore]("store", lambda store: store.name).settle(offered)
        stores = {name: store for name, (_, store) in settled.items()}
        wanted = self.settings.storage.backend
        if wanted == "auto":
            return self._first_store(settled)
        if wanted not in stores:
            self._manager.require(wanted, "storage.backend")
            raise ConfigurationError(f"storage.backend selects '{wanted}', but that plugin offers no store")
        return stores[wanted]

    def _first_store(self, stores: Mapping[str, tuple[PluginInfo, ImageStore]]) -> ImageStore:
        """A store that keeps images past the end, VisionCraft's own before others; the one in memory is the last."""

        def rank(name: str) -> tuple[bool, bool, int, str]:
            info, store = stores[name]
            return name == _FORGETS, not info.ours, -store.preferred, name

        if not stores:
            raise ConfigurationError("no plugin offers a gallery, not even the core's own; see `visioncraft plugins`")
        first = min(stores, key=rank)
        if first == _FORGETS:
            log.warning(
                "no gallery is installed: pictures are kept in memory only and lost at the end; "
                "pip install visioncraft-gallery-fs keeps them"
            )
        return stores[first][1]

    def _check_default(self) -> None:
        name = self.settings.default_model
        if name != "auto" and self.known(name) is None:
            near = get_close_matches(canonical_id(name), self._models, n=1)
            hint = f"did you mean '{self._models[near[0]].id}'?" if near else "see `visioncraft models`"
            raise ConfigurationError(f"default_model: no model '{name}' is known; {hint}")

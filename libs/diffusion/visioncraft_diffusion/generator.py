"""The base of a generator that keeps its models in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

from visioncraft import (
    BackendStatus,
    DeviceInfo,
    Generator,
    InsufficientVRAM,
    ModelCache,
    ModelInfo,
    ModelNotAvailable,
    NotFound,
    Progress,
)

from visioncraft_diffusion.errors import ModelRefused

NOT_ENOUGH = "Not enough memory for requested resolution"
"""What `InsufficientVRAM` says where main memory is short: its own text speaks of a graphics card's."""


class LoadedModel(Protocol):
    """A model in memory."""

    @property
    def resident_gb(self) -> float:
        """The memory it takes, in GB."""

    def close(self) -> None:
        """Gives its memory back."""


M = TypeVar("M", bound=LoadedModel)
T = TypeVar("T")


class CachedGenerator(Generator, Generic[M]):
    """A generator whose models stay in memory once they are loaded; the least recently used one leaves for another.

    An engine says how a model is opened, what tells its files from others in their place, and which of its errors mean
    that memory ran out. Its `run` draws with `_held`, makes room with `_make_room` and does the work in `_guarded`.
    Safe to call from several threads.
    """

    def __init__(self) -> None:
        self._cache: ModelCache[M] = ModelCache()

    @abstractmethod
    def _open(self, model: ModelInfo, progress: Progress) -> M:
        """Brings a model into memory that is not there.

        Raises:
            ModelRefused: Its weights cannot be loaded.
            NotFound: Something is missing that it draws with.
            InsufficientVRAM: It does not fit.
        """

    @abstractmethod
    def _version(self, model: ModelInfo) -> Hashable:
        """Returns another value whenever the files that a model draws with are others."""

    @abstractmethod
    def _is_out_of_memory(self, error: Exception) -> bool:
        """Tells whether an error of the engine says that memory ran out."""

    def _device(self) -> DeviceInfo | None:
        """Returns the device that it draws on, without waiting for it."""
        return None

    def _facts(self) -> Mapping[str, Any]:
        """Returns what else its status tells."""
        return {}

    def load(self, model: ModelInfo, progress: Progress) -> None:
        """Brings a model into memory.

        Raises:
            ModelNotAvailable: It cannot be loaded.
            InsufficientVRAM: It does not fit.
        """
        with self._held(model, progress):
            pass

    def unload(self, model: ModelInfo) -> None:
        """Gives a model's memory back: now, or when the images that it is drawing are done."""
        self._cache.drop(model.id)

    def close(self) -> None:
        """Gives everything back."""
        self._cache.clear()

    def status(self) -> BackendStatus:
        """Returns the models in memory and the device; imports no engine."""
        return BackendStatus(
            name=self.name,
            loaded_models=self._cache.ids(),
            device=self._device(),
            facts={"memory_used_by_models": round(self._cache.resident_gb(), 2), **self._facts()},
        )

    def _held(self, model: ModelInfo, progress: Progress) -> AbstractContextManager[M]:
        """Holds a model while a block runs, so that it does not leave; loads it first where it is not in memory."""
        return self._cache.hold(model.id, lambda: self._opened(model, progress), self._version(model))

    def _opened(self, model: ModelInfo, progress: Progress) -> M:
        try:
            return self._open(model, progress)
        except (ModelRefused, NotFound) as refused:
            available = [info.id for info in self.models() if info.available]
            raise ModelNotAvailable(model.id, available, model.suggestion or str(refused)) from refused

    def _make_room(self, fits: Callable[[], bool]) -> bool:
        """Lets idle models leave, the least recently used one first, until something fits.

        Args:
            fits: Whether it does now.

        Returns:
            Whether it does in the end.
        """
        self._cache.evict_until(fits)
        return fits()

    def _guarded(self, work: Callable[[], T], insufficient: Callable[[], InsufficientVRAM]) -> T:
        """Does work that memory may run out in. Idle models leave then.

        Args:
            work: What to do.
            insufficient: Frees whatever else can be freed, and returns what is raised.

        Returns:
            What `work` returns.

        Raises:
            InsufficientVRAM: Memory ran out.
        """
        try:
            return work()
        except Exception as error:
            if not self._is_out_of_memory(error):
                raise
        # Out here the error is gone, and with it the frames that held what the work had taken.
        self._cache.evict_until(lambda: False)
        raise insufficient()


def main_memory_budget_gb(setting: float) -> float:
    """Returns the GB of main memory that loaded models may take together.

    Args:
        setting: What settings say; 0 for 70 % of the machine's.
    """
    import psutil

    return setting or float(psutil.virtual_memory().total / 2**30 * 0.7)

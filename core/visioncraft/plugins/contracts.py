"""The contracts plugins implement, `Generator`, `ModelKeeper` and `ImageStore`, and the `Progress` they are handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol, runtime_checkable

from visioncraft.errors import GenerationFailed, NotFound, StorageError
from visioncraft.types.gallery import ALL_IMAGES, GalleryQuery, ImageRecord, Marks, Page
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ExportedModel, ModelInfo, StoredModel
from visioncraft.types.status import BackendStatus


class Progress(Protocol):
    """How a generator tells where it is, and hears that it should stop."""

    @property
    def cancelled(self) -> bool:
        """Whether the job was cancelled; a generator without steps asks this."""

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Step `step` of `total` is done, with an optional small preview picture.

        Raises `JobCancelled` if the job was cancelled; let it pass.
        """

    def stage(self, name: str) -> None:
        """Say what is going on beside steps: `loading`, `encoding prompt`, `decoding`. Raises as `step` does."""


class Generator(ABC):
    """An engine. Constructing one is light: weights and heavy libraries wait until `load` or `run`.

    Override `models` and `run`; the rest has defaults. A `run` that is a plain function computes: the core calls it in
    a worker process of the generator's own, so nothing it does can take the server along. One that is a coroutine only
    waits for a network and runs in the server's event loop. `load` and `unload` are of the same kind.
    """

    name: ClassVar[str]
    """Its id: lower case, as the entry point is named."""

    engines: ClassVar[frozenset[str]] = frozenset()
    """Engines whose models it runs; its own name always counts."""

    concurrency: int = 1
    """How many `run` calls it takes at once; whether it batches them is its own affair.

    The pictures of one job are such calls too, at most half of them at once while others may come.
    """

    configured: frozenset[str] = frozenset()
    """Names of models that the plugin's settings say something of. One that no plugin lists is warned of."""

    @abstractmethod
    def models(self) -> Sequence[ModelInfo]:
        """The models it offers itself; other plugins may list more for its engines."""

    @abstractmethod
    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage | Awaitable[GeneratedImage]:
        """Draw one picture.

        A coroutine is cancelled as any task is. `progress.cancelled` is then true where somebody cancelled the job, and
        false where the server ends: the job runs again after the restart, with the same `request.job_id`.
        """

    def load(self, model: ModelInfo, progress: Progress) -> Awaitable[None] | None:
        """Bring a model into memory. Called again for a loaded model, it does nothing."""
        return None

    def unload(self, model: ModelInfo) -> Awaitable[None] | None:
        """Give a model's memory back."""
        return None

    def status(self) -> BackendStatus:
        """Where it stands: cheap, never waits for a device or a network."""
        return BackendStatus(name=self.name)

    def close(self) -> None:
        """The server ends: give everything back."""
        return


@runtime_checkable
class ModelKeeper(Protocol):
    """What a generator may offer beside drawing: `visioncraft models` keeps weights with it.

    Each method that takes long reports into `progress`, in MB (10**6 bytes), and raises `JobCancelled` from there.
    """

    def pull(self, model_id: str, progress: Progress) -> ModelInfo | StoredModel:
        """Download a model, or a part for models; called again it goes on where it stopped."""

    def parts(self) -> Sequence[StoredModel]:
        """What models draw with beside their own weights: LoRAs, ControlNets and the like."""

    def add(self, path: Path, name: str | None, progress: Progress) -> StoredModel:
        """Copy a file or folder among its own, as what its contents say it is.

        Raises `InvalidRequest` for what it cannot use or has under that name already, `StorageError` for a full disk.
        """

    def inspect(self, name: str, listed: ModelInfo | None, progress: Progress) -> StoredModel:
        """What lies on disk of a model or part, with hashes. Raises `NotFound`.

        Args:
            listed: The model of that name, which another plugin may list.
        """

    def remove(self, name: str, listed: ModelInfo | None) -> StoredModel:
        """Delete a model or part. Raises `NotFound`, or `InvalidRequest` for one that is not its to delete."""


@runtime_checkable
class ModelExporter(Protocol):
    """What a generator may offer beside drawing: `visioncraft models export` makes models of its own with it."""

    exports: ClassVar[str]
    """What it makes, as `--to` names it: `onnx`."""

    def export(self, model: ModelInfo, precision: str, progress: Progress) -> ExportedModel:
        """Make a model of its own of another engine's, checked against that before it is kept.

        Args:
            precision: `fp32`, `fp16` or `int8`.

        Raises `InvalidRequest` for a model or precision that it cannot export, `GenerationFailed` where the result is
        not what it should be; nothing is kept then.
        """


_MOST_WARNINGS, _LONGEST_WARNING = 32, 500  # sentences of a picture, characters of each: enough to read


def checked(image: object, generator: str) -> GeneratedImage:
    """What `run` answered if it is a picture, its warnings bounded. Raises `GenerationFailed` naming the generator."""
    if not isinstance(image, GeneratedImage):
        raise GenerationFailed(f"Generator '{generator}' answered {type(image).__name__}, not GeneratedImage")
    told = image.warnings
    if not isinstance(told, tuple | list) or not all(isinstance(each, str) for each in told):
        raise GenerationFailed(f"Generator '{generator}' answered warnings that are no tuple of strings")
    return replace(image, warnings=tuple(each[:_LONGEST_WARNING] for each in told[:_MOST_WARNINGS])) if told else image


class ImageStore(ABC):
    """A gallery. Methods are plain functions; the core calls them in threads, several at once."""

    name: ClassVar[str]
    """Its id: lower case, as the entry point is named."""

    preferred: ClassVar[int] = 0
    """Of several stores, `storage.backend = "auto"` takes the greatest (since 1.1)."""

    def start(self) -> None:
        """Get ready and prove it: a folder that cannot be used raises `ConfigurationError` here, not at a save.

        A store that has pictures to show may start where no further one can be kept: see `check_room`.
        """
        return

    def close(self) -> None:
        """The server ends."""
        return

    @abstractmethod
    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        """Keep a picture. When this returns, the picture survives a power cut.

        Returns the record as kept (its `filename` may have been chosen by the store). Raises `StorageUnavailable` where
        none can be kept now: it is called again, with the same picture, until it can. Any other `StorageError` has the
        job fail, after a few tries where no `OSError` caused it.
        """

    @abstractmethod
    def get(self, image_id: str) -> ImageRecord:
        """One record. Raises `NotFound`."""

    @abstractmethod
    def open(self, image_id: str) -> bytes:
        """The PNG's bytes, as they were saved. Raises `NotFound` or `StorageError`."""

    def url(self, image_id: str) -> str | None:
        """Where a client may fetch the PNG itself, as a signed address of limited life; None where that is here.

        Called before `reader`, so that a store in a cloud need not send every byte through the server (since 1.1).
        Raises as `open` does.
        """
        return None

    def reader(self, image_id: str) -> BinaryIO:
        """The same bytes to read from front to end, by somebody who closes them; `read(n)` gives less only at the end.

        Whoever sends a picture to a slow client holds a piece of it. Stores with files override this (since 1.1).
        Raises as `open` does.
        """
        return BytesIO(self.open(image_id))

    @abstractmethod
    def list(self, limit: int, offset: int = 0, query: GalleryQuery = ALL_IMAGES, cursor: str | None = None) -> Page:
        """A page of what the query finds, in its order.

        Args:
            limit: At most so many.
            offset: Pass over so many first, counted from the cursor where there is one.
            cursor: A `Page.next_cursor` of the same query. While others save and delete, pages by cursor show no
                picture twice and leave none out that is there all the while.

        Raises `InvalidRequest` for a cursor that is none of this query's.
        """

    @abstractmethod
    def delete(self, image_id: str) -> None:
        """Remove a picture for good. Raises `NotFound`."""

    def delete_many(self, image_ids: Sequence[str]) -> Sequence[str]:
        """Remove pictures for good; answers the ids of those that were there. Raises `StorageError`."""
        return [image_id for image_id in image_ids if self._deleted(image_id)]

    def mark(self, image_id: str, marks: Marks) -> ImageRecord:
        """Keep what people say of a picture, in place of what they said before. Lasts as a save does.

        Raises `NotFound`, and `StorageError` where the store cannot.
        """
        raise StorageError(f"The gallery '{self.name}' keeps no tags, ratings or notes")

    def check_room(self) -> None:
        """Called before a picture is drawn: raises `StorageError` where it could not be kept, as on a full disk."""
        return

    def version(self, image_id: str) -> str:
        """What tells a picture's bytes from others under the same id, where somebody may edit them. Printable ASCII.

        Raises `NotFound`, or `StorageError` for a file that cannot be looked at; a store may answer for either.
        """
        return ""

    @abstractmethod
    def count(self) -> int:
        """How many pictures there are."""

    def thumbnail(self, image_id: str) -> bytes:
        """A WebP of at most 256 pixels a side. Stores that can keep thumbnails override this."""
        from visioncraft.images.png import webp_thumbnail

        return webp_thumbnail(self.open(image_id))

    def _deleted(self, image_id: str) -> bool:
        try:
            self.delete(image_id)
        except NotFound:
            return False
        return True


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """How a plugin asks a cloud service whether a key is good, before it is kept.

    Args:
        service: The service's name, as `POST /api-key` has it.
        ask: Takes the key. Returns when the service accepts it; raises `AuthenticationError` when it refuses it,
            anything else when it could not be asked.
    """

    service: str
    ask: Callable[[str], Awaitable[None]]

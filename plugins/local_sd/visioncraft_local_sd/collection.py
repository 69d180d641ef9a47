"""The models and parts of this machine as files: what there is, how large it is, and how it comes and goes.

Nothing here loads weights: what a file is its tensors' names say (`kinds`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from visioncraft import (
    InvalidRequest,
    ModelInfo,
    NotFound,
    Progress,
    StorageError,
    StoredModel,
    canonical_id,
    model_id_of,
)

from visioncraft_local_sd.kinds import FOLDERS, Kind, Recognised, recognise
from visioncraft_local_sd.library import SD15, SD15_REPOSITORIES, Library
from visioncraft_local_sd.safety import CheckpointRefused

_CHUNK = 4 * 2**20
_MB = 10**6
_KEPT = {".safetensors", ".json", ".txt", ".model"}
"""What of a folder is copied: weights, configurations and word lists, never pickles or code."""


class Collection:
    """Weights on disk, in the folder of models and in the Hugging Face cache.

    Parameters
    ----------
    library: Knows the models among them.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    def parts(self, kind: Kind | None = None) -> list[StoredModel]:
        """LoRAs, ControlNets, textual inversions, VAEs and upscalers, by kind and name."""
        kinds = [each for each in FOLDERS if each != "checkpoint" and kind in (None, each)]
        return [part for each in kinds for part in self._in_folder(each)]

    def part(self, kind: Kind, name: str) -> StoredModel:
        """One part by its name, in any spelling that ids allow. Raises `NotFound` that names those there are."""
        there = self.parts(kind)
        found = next((part for part in there if canonical_id(part.id) == canonical_id(name)), None)
        if found is None:
            names = ", ".join(part.id for part in there)
            hint = f"known: {names}" if names else f"there is none yet; visioncraft models add FILE brings a {kind}"
            raise NotFound(f"No {kind} '{name[:80]}'; {hint}")
        return found

    def state(self, *kinds: Kind) -> Hashable:
        """Another one whenever a part of these kinds came, went or changed. Cheap: it opens no file."""
        folders = [self._library.models_dir / FOLDERS[kind] for kind in kinds]
        return frozenset(entry for folder in folders for entry in _entries(folder))

    def add(self, path: Path, name: str | None, progress: Progress) -> StoredModel:
        """See `ModelKeeper.add`."""
        path = path.expanduser()
        what = _recognised(path)
        named = model_id_of(name or (path.name if path.is_dir() else path.stem))
        self._refuse_taken(what.kind, named)
        target = self._place(what.kind, named, path.is_dir())
        progress.stage("copying")
        partial = target.with_name(f".{target.name}.part")
        try:
            _copy(path, partial, progress)
            partial.rename(target)
        except OSError as error:
            raise StorageError(f"{target} could not be written: {error.strerror}; free some space") from error
        finally:
            _delete(partial)
        return _stored(named, target, what)

    def take_in(self, staged: Path, named: str) -> StoredModel:
        """Move what was downloaded to where its kind lies, in place of an older one of its name."""
        what = _recognised(staged)
        target = self._place(what.kind, model_id_of(named), staged.is_dir())
        _delete(target)
        staged.rename(target)
        return _stored(model_id_of(named), target, what)

    def inspect(self, name: str, listed: ModelInfo | None, progress: Progress) -> StoredModel:
        """See `ModelKeeper.inspect`."""
        stored, _ = self._find(name, listed)
        progress.stage("hashing")
        return replace(stored, sha256=_hashes(stored, progress))

    def remove(self, name: str, listed: ModelInfo | None) -> StoredModel:
        """See `ModelKeeper.remove`."""
        stored, ours = self._find(name, listed)
        if not ours:
            where = "settings name it there: take it out of plugins.config.local_sd.models"
            if not any(canonical_id(entry) == canonical_id(name) for entry in self._library.named):
                where = "it belongs to a plugin"
            raise InvalidRequest(f"{stored.id} is not removed", field="model", issue=f"{stored.path}: {where}")
        path = Path(stored.path)
        if path.is_relative_to(self._library.hf_cache):
            path = path.parents[1]  # the repository: its snapshots are links into its blobs
        _delete(path)
        return stored

    def _find(self, name: str, listed: ModelInfo | None) -> tuple[StoredModel, bool]:
        """A model or part, and whether it is ours to delete."""
        models = [*self._library.models(), *([listed] if listed else [])]
        for info in models:
            if canonical_id(info.id) == canonical_id(name) and (stored := self._of(info)):
                return stored, self._owns(Path(stored.path), info)
        found = [part for part in self.parts() if canonical_id(part.id) == canonical_id(name)]
        if not found:
            raise NotFound(f"No model or part '{name[:80]}' is here; see `visioncraft models`")
        return found[0], True

    def _of(self, info: ModelInfo) -> StoredModel | None:
        """What lies on disk of a model; None where nothing does."""
        if info.source is None or not (path := Path(info.source).expanduser()).exists():
            return None
        try:
            what = recognise(path)
        except CheckpointRefused as refused:
            what = Recognised("checkpoint", detail=f"cannot be used: {refused}")
        return _stored(info.id, path, what)

    def _owns(self, path: Path, info: ModelInfo) -> bool:
        if info.id == SD15 and path.is_relative_to(self._library.hf_cache):
            return any(self._library.cached(repository) == path for repository in SD15_REPOSITORIES)
        return path.parent == self._library.models_dir and info.id not in self._library.named

    def _in_folder(self, kind: Kind) -> Iterator[StoredModel]:
        folder = self._library.models_dir / FOLDERS[kind]
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            if path.name.startswith(".") or not (path.is_dir() or path.suffix == ".safetensors"):
                continue
            with suppress(CheckpointRefused, FileNotFoundError):  # what was removed since it was listed is no part
                what = recognise(path)
                if what.kind == kind:
                    yield _stored(model_id_of(path.name if path.is_dir() else path.stem), path, what)

    def _place(self, kind: Kind, named: str, folder: bool) -> Path:
        target = self._library.models_dir / FOLDERS[kind] / (named if folder else f"{named}.safetensors")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{target.parent} cannot be written: {error.strerror}") from error
        return target

    def _refuse_taken(self, kind: Kind, named: str) -> None:
        models = [info.id for info in self._library.models()] if kind == "checkpoint" else []
        taken = [*models, *(part.id for part in self.parts(None if kind == "checkpoint" else kind))]
        if any(canonical_id(name) == canonical_id(named) for name in taken):
            issue = f"give it another --name, or first: visioncraft models remove {named}"
            raise InvalidRequest(f"There is a '{named}' already", field="name", issue=issue)


def _entries(folder: Path) -> list[tuple[str, int, int]]:
    """Paths, times and sizes of what is in a folder; without what is removed at this very moment."""
    entries = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):
                facts = entry.stat()
                entries.append((entry.path, facts.st_mtime_ns, facts.st_size))
    return entries


def _recognised(path: Path) -> Recognised:
    try:
        return recognise(path)
    except CheckpointRefused as refused:
        _refuse(path, str(refused))


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InvalidRequest(f"{path} cannot be used", field="path", issue=reason)


def _stored(named: str, path: Path, what: Recognised) -> StoredModel:
    files = dict(sorted((file.relative_to(path).as_posix(), file.stat().st_size) for file in _files(path)))
    if path.is_file():
        files = {path.name: path.stat().st_size}
    return StoredModel(named, what.kind, str(path), files, what.base, what.detail)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but the download's own notes."""
    yield from (
        file for file in folder.rglob("*") if file.is_file() and ".cache" not in file.parts[len(folder.parts) :]
    )


def _copy(source: Path, target: Path, progress: Progress) -> None:
    _delete(target)
    files = (
        {source: target}
        if source.is_file()
        else {file: target / file.relative_to(source) for file in _files(source) if file.suffix.lower() in _KEPT}
    )
    total, done = sum(file.stat().st_size for file in files), 0
    for original, copy in files.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with original.open("rb") as reader, copy.open("wb") as writer:
            while block := reader.read(_CHUNK):
                writer.write(block)
                done += len(block)
                progress.step(_megabytes(done), _megabytes(total))
            writer.flush()
            os.fsync(writer.fileno())


def _hashes(stored: StoredModel, progress: Progress) -> Mapping[str, str]:
    path, done, hashes = Path(stored.path), 0, {}
    for name in stored.files:
        digest = hashlib.sha256()
        with (path if path.is_file() else path / name).open("rb") as reader:
            while block := reader.read(_CHUNK):
                digest.update(block)
                done += len(block)
                progress.step(_megabytes(done), _megabytes(stored.size))
        hashes[name] = digest.hexdigest()
    return hashes


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _megabytes(count: int) -> int:
    return max(1, count // _MB)

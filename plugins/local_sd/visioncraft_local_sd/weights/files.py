"""The models and parts of this machine as files: what there is, how large it is, and how it comes and goes.

Nothing here loads weights: what a file is its tensors' names say (`kinds`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from visioncraft import (
    ByName,
    InvalidRequest,
    ModelInfo,
    NamedFile,
    NotFound,
    Progress,
    StorageError,
    StoredModel,
    canonical_id,
    find_below,
    is_bystander,
    model_id_of,
    named_files,
    state_of,
)
from visioncraft_diffusion.families import SD15

from visioncraft_local_sd.weights.models import SD15_REPOSITORIES, Library
from visioncraft_local_sd.weights.recognise import FOLDERS, Kind, Recognised, recognise
from visioncraft_local_sd.weights.safety import PICKLES, CheckpointRefused

_CHUNK = 4 * 2**20
_MB = 10**6
_KEPT = {".safetensors", ".json", ".txt", ".jinja", ".model"}
"""What of a folder is copied: weights, configurations, word lists and forms of chats, never pickles or code."""

_PLAIN = re.compile(r"\w[\w.-]*")  # file names that need no quotes anywhere
_DEEPEST = 8


class Collection:
    """Weights on disk, in the folder of models and in the Hugging Face cache.

    Args:
        library: Knows the models among them.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    def parts(self, kind: Kind | None = None) -> list[StoredModel]:
        """LoRAs, ControlNets, textual inversions, VAEs and upscalers, by kind and name."""
        kinds = [each for each in FOLDERS if each != "checkpoint" and kind in (None, each)]
        return [part for each in kinds for part in self._in_folder(each)]

    def part(self, kind: Kind, name: str) -> StoredModel:
        """One part by any name of its own. Raises `NotFound` that names those there are, or why it is of no use."""
        there = self.parts(kind)
        found = ByName(there).get(name)
        if found is None:
            names = ", ".join(part.id for part in there if not part.trouble)
            hint = f"known: {names}" if names else f"there is none yet; visioncraft models add FILE brings a {kind}"
            raise NotFound(f"No {kind} '{name[:80]}'; {hint}")
        if found.trouble:
            raise NotFound(f"The {kind} '{found.id}' cannot be used: {found.trouble}")
        return found

    def state(self, *kinds: Kind) -> Hashable:
        """Another one whenever a part of these kinds came, went or changed. Cheap: it opens no file."""
        states = ((kind, state_of(self._library.models_dir / FOLDERS[kind], _DEEPEST)) for kind in kinds)
        return frozenset(each for each in states if each[1])

    def add(self, path: Path, name: str | None, progress: Progress) -> StoredModel:
        """See `ModelKeeper.add`."""
        path = path.expanduser()
        what = _recognised(path)
        named = _file_name(what.kind, name or (path.name if path.is_dir() else path.stem))
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
        return self._at(target, what)

    def take_in(self, staged: Path, named: str) -> StoredModel:
        """Move what was downloaded to where its kind lies, in place of an older one of its name."""
        what = _recognised(staged)
        own = _file_name(what.kind, named)
        target = self._place(what.kind, own, staged.is_dir())
        _delete(target)
        staged.rename(target)
        return self._at(target, what)

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
            if stored.id not in self._library.named:
                where = "it belongs to a plugin"
            raise InvalidRequest(f"{stored.id} is not removed", field="model", issue=f"{stored.path}: {where}")
        path = Path(stored.path)
        if path.is_relative_to(self._library.hf_cache):
            path = path.parents[1]  # the repository: its snapshots are links into its blobs
        _delete(path)
        return stored

    def _find(self, name: str, listed: ModelInfo | None) -> tuple[StoredModel, bool]:
        """A model or part, and whether it is ours to delete."""
        info = ByName([*self._library.models(), *([listed] if listed else [])]).get(name)
        if info is not None and (stored := self._of(info)):
            return stored, self._owns(Path(stored.path), info)
        found = ByName(self.parts()).get(name)
        if found is None:
            raise NotFound(f"No model or part '{name[:80]}' is here; see `visioncraft models`")
        return found, True

    def _at(self, path: Path, what: Recognised) -> StoredModel:
        """What was just put at a path, under the names that it is listed by from now on."""
        if what.kind == "checkpoint":
            listed = next(info for info in self._library.models() if info.source == str(path))
            return _stored(listed.id, path, what, listed.aliases)
        return next(part for part in self.parts(what.kind) if part.path == str(path))

    def _of(self, info: ModelInfo) -> StoredModel | None:
        """What lies on disk of a model; None where nothing does."""
        if info.source is None or not os.path.lexists(path := Path(info.source).expanduser()):
            return None
        try:
            what = recognise(path)
        except (CheckpointRefused, FileNotFoundError) as refused:
            what = Recognised("checkpoint", detail=f"cannot be used: {refused}")
        return _stored(info.id, path, what, info.aliases)

    def _owns(self, path: Path, info: ModelInfo) -> bool:
        if info.id == SD15 and path.is_relative_to(self._library.hf_cache):
            return any(self._library.cached(repository) == path for repository in SD15_REPOSITORIES)
        return path.is_relative_to(self._library.models_dir) and info.id not in self._library.named

    def _in_folder(self, kind: Kind) -> Iterator[StoredModel]:
        found = list(find_below(self._library.models_dir / FOLDERS[kind], _is_part))
        for named in named_files(found):
            try:
                yield _looked_at(kind, named)
            except FileNotFoundError:  # what was removed since it was listed is no part
                continue

    def _place(self, kind: Kind, named: str, folder: bool) -> Path:
        target = self._library.models_dir / FOLDERS[kind] / (named if folder else f"{named}.safetensors")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{target.parent} cannot be written: {error.strerror}") from error
        return target

    def _refuse_taken(self, kind: Kind, named: str) -> None:
        models = self._library.models() if kind == "checkpoint" else []
        taken = {canonical_id(name): model.id for model in models for name in (model.id, *model.aliases)}
        for part in self.parts(None if kind == "checkpoint" else kind):
            taken |= {canonical_id(name): part.id for name in (part.id, *part.aliases)}
        if (there := taken.get(canonical_id(named))) is not None:
            issue = f"give it another --name, or first: visioncraft models remove {there}"
            raise InvalidRequest(f"There is a '{there}' already", field="name", issue=issue)


def _is_part(path: Path, folder: bool) -> bool:
    if folder:
        return os.path.lexists(path / "config.json")
    return path.suffix.lower() in {".safetensors", *PICKLES}


def _looked_at(kind: Kind, named: NamedFile) -> StoredModel:
    """A part, or why it is of no use. Raises `FileNotFoundError` for what is not there any more."""
    path, trouble = named.file.path, named.file.trouble
    what = Recognised(kind)
    if not trouble:
        try:
            what = recognise(path)
            trouble = (
                "" if what.kind == kind else f"it is a {what.kind}, for {FOLDERS[what.kind] or 'the folder above'}"
            )
        except CheckpointRefused as refused:
            trouble = str(refused)
    return replace(_stored(named.id, path, what, named.aliases), kind=kind, trouble=trouble)


def _file_name(kind: Kind, name: str) -> str:
    """What a file that is brought in is called: its id; but a textual inversion keeps its name, a word in prompts."""
    own = kind == "embedding" and _PLAIN.fullmatch(name) and not is_bystander(name)
    return name if own else model_id_of(name)


def _recognised(path: Path) -> Recognised:
    try:
        return recognise(path)
    except CheckpointRefused as refused:
        _refuse(path, str(refused))


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InvalidRequest(f"{path} cannot be used", field="path", issue=reason)


def _stored(named: str, path: Path, what: Recognised, aliases: tuple[str, ...]) -> StoredModel:
    inside = {file.relative_to(path).as_posix(): file for file in _files(path)} if path.is_dir() else {path.name: path}
    files = {_shown(name): _size(file) for name, file in sorted(inside.items())}
    return StoredModel(named, what.kind, _shown(str(path)), files, what.base, what.detail, aliases=aliases)


def _size(file: Path) -> int:
    """Bytes of a file; 0 for one that leads nowhere."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _shown(path: str) -> str:
    """As text that can be sent: names of files need not be any."""
    return path.encode("utf-8", "backslashreplace").decode()


def _files(folder: Path) -> Iterator[Path]:
    """Every regular file below a folder but the download's own notes and what only lies beside a model's."""
    yield from (
        file
        for file in folder.rglob("*")
        if not any(is_bystander(part) for part in file.parts[len(folder.parts) :]) and file.is_file()
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

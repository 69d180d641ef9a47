"""Fetching models from the Hugging Face hub: only when asked for, and only safetensors, JSON and word lists."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm.auto import tqdm  # type: ignore[import-untyped]
from visioncraft import (
    InvalidRequest,
    ModelInfo,
    Progress,
    ServiceUnavailable,
    StorageError,
    StoredModel,
    VisionCraftError,
)
from visioncraft_diffusion.families import SD15

from visioncraft_local_sd.weights.files import Collection
from visioncraft_local_sd.weights.models import SD15_REPOSITORIES, Library
from visioncraft_local_sd.weights.safety import NOT_LOADED, CheckpointRefused

_MB = 10**6
_WORDS = {".json", ".txt", ".jinja", ".model"}
_PART = r"(?!\.\.?(/|$))[\w.][\w.-]*"
_ID = re.compile(rf"(?P<repository>\w[\w.-]*/\w[\w.-]*)(/(?P<file>({_PART}/)*{_PART}\.safetensors))?")
_NAMELESS = {"pytorch_lora_weights", "diffusion_pytorch_model", "model", "learned_embeds"}
"""Names that the programs that write such files always give: the repository's says more."""


def pull(collection: Collection, library: Library, model_id: str, progress: Progress) -> ModelInfo | StoredModel:
    """Download a model, or a part for models, and answer it as it is listed from now on.

    Args:
        model_id: `stable-diffusion-1.5`; `owner/name` of a repository; `owner/name/file.safetensors` of one file in it.

    `progress.step` counts MB. Every file is checked against the hub's hash of it. Raises `InvalidRequest` for an id
    that is none of these, `ServiceUnavailable` where the hub cannot be reached or refuses, `StorageError` where the
    disk does or a file is not what the hub says, each with the next step; `JobCancelled` where the download was
    cancelled, after which another `pull` resumes it.
    """
    named = _ID.fullmatch(SD15_REPOSITORIES[0] if model_id == SD15 else model_id)
    if named is None:
        issue = f"write '{SD15}', or owner/name or owner/name/file.safetensors of a repository on huggingface.co"
        raise InvalidRequest(f"Cannot pull '{model_id}'", field="model", issue=issue)
    repository, file = named["repository"], named["file"]
    progress.stage("downloading")
    try:
        wanted = _chosen(repository, file)
        if not wanted.whole:
            return _part(collection, library, wanted, progress)
        where: dict[str, Any] = {"cache_dir": library.hf_cache}
        if model_id != SD15:
            where = {"local_dir": library.models_dir / repository.split("/")[1]}
        folder = _download(wanted, where, progress)
    except (VisionCraftError, KeyboardInterrupt):
        raise
    except Exception as error:  # the hub's client passes on what any layer below it raises
        raise _explain(repository, error) from error
    return next((info for info in library.models() if info.source == str(folder)), _unlisted(repository))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to fetch of a repository: its files as the hub lists them, and whether they are a whole model."""

    repository: str
    files: Sequence[Any]
    whole: bool

    @property
    def size(self) -> int:
        return sum(file.size or 0 for file in self.files)


def _chosen(repository: str, file: str | None) -> _Wanted:
    """Ask the hub what there is and choose. Raises `InvalidRequest` where that is not for this to choose."""
    from huggingface_hub import HfApi

    listed = HfApi(endpoint=_endpoint()).model_info(repository, files_metadata=True).siblings or []
    there = {each.rfilename: each for each in listed}
    whole = file is None and "model_index.json" in there
    names = [file] if file else weights_to_fetch(there) if whole else _part_to_fetch(repository, there)
    absent = [name for name in names if name not in there]
    if absent:
        offered = ", ".join(sorted(name for name in there if name.endswith(".safetensors"))[:20])
        issue = f"it has no {absent[0]}; its weights: {offered or 'none in safetensors'}"
        raise InvalidRequest(f"Cannot pull from {repository}", field="model", issue=issue)
    if not any(name.endswith(".safetensors") for name in names):
        raise CheckpointRefused(f"{repository} offers no safetensors weights")
    return _Wanted(repository, [there[name] for name in names], whole)


def _part_to_fetch(repository: str, names: Iterable[str]) -> list[str]:
    """A repository that is no whole model: a ControlNet's or VAE's folder, else its one file of weights."""
    top = [PurePosixPath(name) for name in names if "/" not in name]
    folder = [path.name for path in top if path.name == "config.json"]
    if folder and (weights := _one_precision(top)):
        return folder + [path.name for path in weights]
    single = [path.name for path in top if path.suffix == ".safetensors"]
    if len(single) > 1:
        issue = f"it has several files; choose: {', '.join(f'{repository}/{name}' for name in sorted(single)[:20])}"
        raise InvalidRequest(f"Cannot pull all of {repository}", field="model", issue=issue)
    return single


def _part(collection: Collection, library: Library, wanted: _Wanted, progress: Progress) -> StoredModel:
    """Fetched beside the models first: what it is, and so where it belongs, is known once it is here."""
    staging = library.models_dir / ".pull" / wanted.repository.replace("/", "--")
    _download(wanted, {"local_dir": staging}, progress)
    names = [PurePosixPath(file.rfilename) for file in wanted.files]
    if len(names) > 1:
        shutil.rmtree(staging / ".cache", ignore_errors=True)
        return collection.take_in(staging, wanted.repository.split("/")[1])
    named = wanted.repository.split("/")[1] if names[0].stem in _NAMELESS else names[0].stem
    stored = collection.take_in(staging / names[0], named)
    shutil.rmtree(staging)
    return stored


def weights_to_fetch(files: Iterable[str]) -> list[str]:
    """The files of a diffusers repository worth fetching.

    Configurations and word lists; of every component its fp16 weights where there are some, else its full ones. No
    pickles, no single-file twins of the same weights, nothing of components that are never loaded.
    """
    paths = [PurePosixPath(file) for file in files]
    folders = sorted({path.parent for path in paths if len(path.parts) == 2 and path.parts[0] not in NOT_LOADED})
    chosen = [path for path in paths if path.name == "model_index.json" and len(path.parts) == 1]
    for folder in folders:
        inside = [path for path in paths if path.parent == folder]
        chosen += [path for path in inside if path.suffix in _WORDS and ".index." not in path.name]
        chosen += _one_precision(inside)
    return [path.as_posix() for path in chosen]


def _one_precision(component: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """One set of weights with its shard index."""
    for variant in (".fp16", "", ".bf16"):
        stem, infix = "(diffusion_pytorch_)?model", re.escape(variant)
        found = [path for path in component if re.fullmatch(rf"{stem}{infix}(-\d+-of-\d+)?\.safetensors", path.name)]
        if found:
            index = rf"{stem}(\.safetensors\.index{infix}|{infix}\.safetensors\.index)\.json"
            return found + [path for path in component if re.fullmatch(index, path.name)]
    return []


def _download(wanted: _Wanted, where: Mapping[str, Any], progress: Progress) -> Path:
    """Fetch the files that are not here yet, and check all of them; answers their folder."""
    from huggingface_hub import snapshot_download

    patterns, bar = [file.rfilename for file in wanted.files], _bar_for(progress, wanted.size)
    folder = Path(
        snapshot_download(wanted.repository, allow_patterns=patterns, tqdm_class=bar, endpoint=_endpoint(), **where)
    )
    progress.stage("checking")
    for file in wanted.files:
        _check(folder / file.rfilename, file)
    progress.step(_megabytes(wanted.size), _megabytes(wanted.size))
    return folder


def _check(path: Path, listed: Any) -> None:
    """Compare with the hub's own hash: SHA-256 of a large file, git's of a small one. Raises `StorageError`."""
    with path.open("rb") as content:
        if listed.lfs is not None:
            same = hashlib.file_digest(content, "sha256").hexdigest() == listed.lfs.sha256
        else:
            head = f"blob {path.stat().st_size}\0".encode()  # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
            same = listed.blob_id is None or _sha1(head + content.read()) == listed.blob_id
    if not same:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise StorageError(f"{path.name} is not what the hub has: its hash differs; it was deleted, pull again")


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _bar_for(progress: Progress, total: int) -> Any:
    """A bar class that hands the bytes written to disk on to `progress`, and draws nothing itself."""
    lock = threading.Lock()

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("unit") == "B" and "econstruct" in str(kwargs.get("desc"))
            self._done = 0
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts and n:
                with lock:
                    self._done += int(n)
                    progress.step(min(_megabytes(self._done), _megabytes(total)), _megabytes(total))
            return None

    return Bar


def _megabytes(count: int) -> int:
    return max(1, count // _MB)


def _explain(repository: str, error: Exception) -> VisionCraftError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    again = f"then: visioncraft models pull {SD15 if repository in SD15_REPOSITORIES else repository}"
    if isinstance(error, CheckpointRefused):
        return ServiceUnavailable(f"{error}; choose another repository")
    if isinstance(error, GatedRepoError):
        return ServiceUnavailable(
            f"{repository} asks for consent: accept it on huggingface.co, `hf auth login`, {again}"
        )
    if isinstance(error, RepositoryNotFoundError):
        return ServiceUnavailable(f"{repository} is not on the hub (or is private); check its name, {again}")
    if isinstance(error, OSError) and error.errno is not None and "://" not in str(error):
        return StorageError(f"{repository} could not be written: {error.strerror}; free some space, {again}")
    return ServiceUnavailable(
        f"{repository} could not be downloaded ({type(error).__name__}); check the network or HF_ENDPOINT, {again}"
    )


def _unlisted(repository: str) -> ModelInfo:
    return ModelInfo(
        id=repository.split("/")[1], name=repository, engine="diffusers", available=False, suggestion="see the log"
    )

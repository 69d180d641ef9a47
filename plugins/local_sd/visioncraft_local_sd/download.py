"""Fetching models from the Hugging Face hub: only when asked for, and only safetensors, JSON and word lists."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from tqdm.auto import tqdm  # type: ignore[import-untyped]
from visioncraft import InvalidRequest, ModelInfo, Progress, ServiceUnavailable, StorageError, VisionCraftError

from visioncraft_local_sd.library import SD15, SD15_REPOSITORIES, Library
from visioncraft_local_sd.safety import NOT_LOADED, CheckpointRefused

_MB = 10**6
_WORDS = {".json", ".txt"}


def pull(library: Library, model_id: str, progress: Progress) -> ModelInfo:
    """Download a model and answer it as `Library.models` lists it from now on.

    `progress.step` counts MB. Raises `InvalidRequest` for an id that is neither known nor `owner/name`,
    `ServiceUnavailable` where the hub cannot be reached or refuses, `StorageError` where the disk does, each with the
    next step; `JobCancelled` where the download was cancelled, after which another `pull` resumes it.
    """
    repository = SD15_REPOSITORIES[0] if model_id == SD15 else model_id
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository):
        issue = f"write '{SD15}', or owner/name of a repository on huggingface.co"
        raise InvalidRequest(f"Cannot pull '{model_id}'", field="model", issue=issue)
    where: dict[str, Any] = {"cache_dir": library.hf_cache}
    if model_id != SD15:
        where = {"local_dir": library.models_dir / repository.split("/")[1]}
    progress.stage("downloading")
    try:
        _download(repository, where, progress)
    except (VisionCraftError, KeyboardInterrupt):
        raise
    except Exception as error:  # the hub's client passes on what any layer below it raises
        raise _explain(repository, error) from error
    source = str(where["local_dir"]) if "local_dir" in where else str(library.cached(repository))
    return next((info for info in library.models() if info.source == source), _unlisted(repository))


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
    plain, half = re.compile(r"(diffusion_pytorch_)?model"), re.compile(r"(diffusion_pytorch_)?model\.fp16")
    for stem in (half, plain):
        pattern = rf"{stem.pattern}(-\d+-of-\d+)?\.safetensors"
        found = [path for path in component if re.fullmatch(pattern, path.name)]
        if found:
            index = re.compile(r"(diffusion_pytorch_)?model\.safetensors\.index(\.fp16)?\.json")
            half_index = ".fp16." in found[0].name or ".fp16-" in found[0].name
            return found + [p for p in component if index.fullmatch(p.name) and (".fp16." in p.name) == half_index]
    return []


def _download(repository: str, where: dict[str, Any], progress: Progress) -> None:
    from huggingface_hub import HfApi, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT") or None
    listed = HfApi(endpoint=endpoint).model_info(repository, files_metadata=True).siblings or []
    sizes = {file.rfilename: file.size or 0 for file in listed}
    wanted = weights_to_fetch(sizes)
    if not any(name.endswith(".safetensors") for name in wanted):
        raise CheckpointRefused(f"{repository} offers no diffusers folders with safetensors weights")
    total = sum(sizes[name] for name in wanted)
    bar = _bar_for(progress, total)
    snapshot_download(repository, allow_patterns=wanted, tqdm_class=bar, endpoint=endpoint, **where)
    progress.step(_megabytes(total), _megabytes(total))


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

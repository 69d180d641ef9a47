"""What draws: models, what each accepts and is able to, and weights as they lie on disk. As light as `types`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from visioncraft.types.parameters import Defaults, Parameter

Ability = Literal["init_image", "mask", "loras", "controlnet", "clip_skip", "hires", "upscaler"]
"""What a model may be able to beside drawing from text: the request's field of that name."""

Kind = Literal["local", "cloud"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model accepts. Limits belong to the model, not to the API.

    Args:
        steps: Fewest and most denoising steps.
        guidance_scale: Lowest and highest guidance scale.
        size_multiple: Width and height are multiples of this many pixels.
        min_resolution: Least (width, height) in pixels.
        max_resolution: Greatest (width, height) in pixels.
    """

    steps: tuple[int, int] = (15, 50)
    guidance_scale: tuple[float, float] = (1.0, 20.0)
    size_multiple: int = 8
    min_resolution: tuple[int, int] = (64, 64)
    max_resolution: tuple[int, int] = (1024, 1024)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that some engine can run.

    Args:
        id: What clients write in `model`. Ids that differ only in case or in `.` against `-` are one model.
        name: What people read.
        engine: The engine that runs it; a generator states which engines it runs. A plugin may list models for an
            engine that another plugin brings.
        kind: `local` models draw on this machine, `cloud` models somewhere else.
        quality: One word for people, as `Excellent`.
        vram_required: Device memory for people, as `4-6GB`.
        description: One sentence.
        limits: What a request to this model may ask for.
        source: Where the weights are: a folder, a `.safetensors` file or a hub id; None for an engine without weights.
        available: Whether it can draw now.
        suggestion: The command that makes it available, where it is not.
        catalogue: For cloud models, what `/models` says of it beside its name (its models, styles, aspect ratios).
        also: Further engines that can run it; `generation.backends` says which one does where several are installed.
        abilities: The fields of a request that it takes beside those that every model does; others are refused.
        aliases: Other names that mean it, the name of its file or folder first; see `visioncraft.ByName`.
        needs: What a cloud's model needs before it draws, as a key; empty where it has that.
        defaults: What it draws with where a request does not say (since plugin API 1.1).
        samplers: The samplers that it takes, by their common names; empty where nobody said (since plugin API 1.1).
        parameters: What it takes beside the fields that every request has (since plugin API 1.1).
        preferred: Of several models, a request that names none takes the greatest (since plugin API 1.1).
        licence: The licence of its weights, as an SPDX identifier or a URL; empty where nobody said (since 1.1).
    """

    id: str
    name: str
    engine: str
    kind: Kind = "local"
    quality: str = "Good"
    vram_required: str = "0GB"
    description: str = ""
    limits: Limits = field(default_factory=Limits)
    source: str | None = None
    available: bool = True
    suggestion: str | None = None
    catalogue: Mapping[str, Any] | None = None
    also: tuple[str, ...] = ()
    abilities: frozenset[Ability] = frozenset()
    aliases: tuple[str, ...] = ()
    needs: str = ""
    defaults: Defaults = field(default_factory=Defaults)
    samplers: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    licence: str = ""
    preferred: int = 0

    @property
    def engines(self) -> tuple[str, ...]:
        """All engines that can run it, the first one preferred (since plugin API 1.1)."""
        return (self.engine, *self.also)

    def __post_init__(self) -> None:
        """Raise `ValueError` for a kind or an ability that nobody else knows, and for two parameters of one name."""
        if self.kind not in get_args(Kind):
            raise ValueError(f"model '{self.id}' is of the kind {self.kind!r}; there are: {', '.join(get_args(Kind))}")
        if unknown := sorted(str(name) for name in self.abilities if name not in get_args(Ability)):
            known = ", ".join(get_args(Ability))
            own = "; a parameter of its own is declared in ModelInfo.parameters"
            raise ValueError(f"model '{self.id}' has unknown abilities: {', '.join(unknown)}; there are: {known}{own}")
        names = [parameter.name for parameter in self.parameters]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"model '{self.id}' declares a parameter more than once: {', '.join(twice)}")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """Weights as they lie on disk: a model's, or those of a part that models draw with.

    Args:
        id: Its name: a model's id, a LoRA's name.
        kind: `checkpoint`, `lora`, `controlnet`, `embedding`, `vae`, `upscaler`.
        path: The file or folder.
        files: Bytes of each file, by its path inside the folder, or by the file's own name.
        base: The family it is of, or fits; empty where nothing says.
        detail: A word more for people.
        sha256: Of each file, in hexadecimal digits, where it was asked for.
        aliases: Other names that mean it, the name of its file or folder first.
        trouble: Why nothing can draw with it; empty where it can be used.
    """

    id: str
    kind: str
    path: str
    files: Mapping[str, int]
    base: str = ""
    detail: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model that a generator made of another engine's.

    Args:
        model: As it is listed from now on.
        findings: What was measured of it, one sentence each.
    """

    model: ModelInfo
    findings: Sequence[str] = ()


def canonical_id(model_id: str) -> str:
    """The one spelling by which model ids are compared: `phoenix-1.0` and `phoenix-1-0` are one model."""
    return unicodedata.normalize("NFC", model_id).strip().lower().replace(".", "-")


def model_id_of(name: str) -> str:
    """The id of a file or folder: lower case, its letters and digits of any script, and a hyphen for all else.

    So nothing in it steers a shell, a path or a terminal. Different names may have one id: `ids_for` tells them apart.
    """
    kept = (each if each == "." or unicodedata.category(each)[0] in "LMN" else "-" for each in _composed(name))
    return re.sub("-+", "-", "".join(kept)).strip("-.") or "model"


def _composed(name: str) -> str:
    """In lower case, an accent and its letter as one character: macOS writes them as two."""
    return unicodedata.normalize("NFC", name.lower())


def model_folder(package_file: str, *parts: str) -> str:
    """The path of weights that a plugin carries in its own package: `model_folder(__file__, "weights")`."""
    return str(Path(package_file).resolve().parent.joinpath(*parts))

"""What files in the folder of models are called: models and parts alike, in folders of folders too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from visioncraft import FoundFile, ids_for

_ENDINGS = (".safetensors", ".ckpt", ".bin", ".pt", ".pth", ".pkl", ".pickle")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file or folder with its names.

    Parameters
    ----------
    file: What was found.
    id: No other of those found with it has this one.
    aliases: Its own name first, with the folders it lies in and without its ending; then its whole name, and its name
        alone where no other file is called so.
    """

    file: FoundFile
    id: str
    aliases: tuple[str, ...]


def named_files(found: Sequence[FoundFile]) -> list[NamedFile]:
    """Give names to what was found below one folder."""
    plain = [_without_ending(each.name) for each in found]
    first = {name: number for number, name in reversed(list(enumerate(plain)))}
    own = [name if first[name] == number else found[number].name for number, name in enumerate(plain)]
    alone = Counter(name.rpartition("/")[2] for name in plain)
    named = []
    for each, name, short, model_id in zip(found, own, plain, ids_for(own), strict=True):
        last = short.rpartition("/")[2]
        aliases = dict.fromkeys([name, each.name, *([last] if alone[last] == 1 else [])])
        named.append(NamedFile(each, model_id, tuple(aliases)))
    return named


def _without_ending(name: str) -> str:
    ending = PurePosixPath(name).suffix
    return name.removesuffix(ending) if ending.lower() in _ENDINGS else name

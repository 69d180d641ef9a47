"""Names of models and of what they draw with: a file is called what it is called, and an id is only derived from that.

An id is made for addresses, shells and file names, so it loses capitals, underscores and the like. Pictures of other
programs, settings and people name a checkpoint as its file is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Generic, Protocol, TypeVar

from visioncraft.files import FoundFile
from visioncraft.types.models import canonical_id, model_id_of

_DIGITS = 6  # of a hash, in ids that nothing else tells apart
_ENDINGS = frozenset({".safetensors", ".ckpt", ".bin", ".pt", ".pth", ".pkl", ".pickle"})


class Named(Protocol):
    """What has an id and other names."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def aliases(self) -> Sequence[str]:
        """Other names that mean it."""


N = TypeVar("N", bound=Named)


class ByName(Generic[N]):
    """Things found by whatever name is theirs: as it is written first, then in any spelling that means the same.

    Args:
        things: Where two have one name in one spelling, the earlier one is found; an id is stronger than another name.
    """

    def __init__(self, things: Iterable[N]) -> None:
        known = list(things)
        self._found: list[tuple[Callable[[str], str], dict[str, N]]] = [
            (spelling, _spelled(known, spelling)) for spelling in (str.strip, canonical_id, name_key)
        ]
        loosest = self._found[-1][1]
        for thing in known:  # ids of earlier versions, in pictures and settings
            for name in thing.aliases:
                loosest.setdefault(_former_id(name), thing)

    def get(self, name: str) -> N | None:
        """The thing that a name means; None where it means nothing here."""
        spelled = ((found, spelling(name)) for spelling, found in self._found)
        return next((found[key] for found, key in spelled if key in found), None)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file or folder with its names.

    Args:
        file: What was found.
        id: No other of those found with it has this one.
        aliases: Its own name first, with the folders it lies in and without its ending; then its whole name, and its
            name alone where no other file is called so.
    """

    file: FoundFile
    id: str
    aliases: tuple[str, ...]


def name_key(name: str) -> str:
    """The loosest spelling that names are compared in: `Dream_Shaper 8`, `dream-shaper.8` have one."""
    return canonical_id(model_id_of(name))


def ids_for(names: Sequence[str]) -> list[str]:
    """An id for each of these names, which differ: no two ids are alike, however much is lost of the names.

    An id that is another one's whole name is left to that one. A name then keeps its underscores, and where that tells
    nothing apart either, its id ends in a part of its hash.
    """
    whole, taken = set(names), set[str]()
    ids = []
    for name in names:
        free = (each for each in _candidates(name) if each == name or each not in whole)
        ids.append(next(each for each in free if canonical_id(each) not in taken))
        taken.add(canonical_id(ids[-1]))
    return ids


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


def _candidates(name: str) -> Iterable[str]:
    plain, digest = model_id_of(name), sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    yield plain
    yield "_".join(model_id_of(part) for part in name.split("_") if part) or plain
    yield from (f"{plain}-{digest[:digits]}" for digits in range(_DIGITS, len(digest) + 1))


def _spelled(things: Sequence[N], spelling: Callable[[str], str]) -> dict[str, N]:
    found = {spelling(thing.id): thing for thing in reversed(things)}
    for thing in things:
        for name in thing.aliases:
            found.setdefault(spelling(name), thing)
    return found


def _former_id(name: str) -> str:
    """The id that a file had before ids kept letters that are not Latin."""
    return canonical_id(re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "model")


def _without_ending(name: str) -> str:
    ending = PurePosixPath(name).suffix
    return name.removesuffix(ending) if ending.lower() in _ENDINGS else name

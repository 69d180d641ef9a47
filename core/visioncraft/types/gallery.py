"""Stored images: their records, what people say of them, and questions to a gallery."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from visioncraft.types.generation import FACT_OWNER, WARNINGS

Sort = Literal["newest", "oldest", "rating"]
"""Orders of a gallery: by the time of making, or the best rated first and among these the newest."""

FACT_ORIGINAL_SEED = "original_seed"
"""The fact of a picture from elsewhere that says which seed drew it, where none here can be that."""

FACT_LEFT_OUT = "left_out"
"""The fact of a picture from elsewhere that lists what made it, by its program's names, and is not asked for again."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What people say of a stored picture. Unlike everything else about it, this may change.

    Args:
        tags: In the spelling of `tag_key`, sorted, each once.
        favourite: Whether somebody starred it; retention spares it then.
        rating: 0 for none, else 1 to 5.
        notes: Free text.
    """

    tags: tuple[str, ...] = ()
    favourite: bool = False
    rating: int = 0
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A stored picture: everything but its pixels. The same facts, all but `marks`, stand inside the file.

    Args:
        id: `img_` and 26 lower-case letters and digits, sortable by time.
        filename: The file's own name, without a folder.
        prompt, negative_prompt, model, seed, width, height: As drawn.
        generation_time: Seconds.
        vram_used: GB.
        created_at: With a time zone, UTC.
        parameters: All parameters used, as `/generate` answered them.
        facts: Whatever else the generator said.
        marks: What people said of it since.
    """

    id: str
    filename: str
    prompt: str
    negative_prompt: str
    model: str
    seed: int
    width: int
    height: int
    generation_time: float
    vram_used: float
    created_at: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)

    @property
    def generator(self) -> str:
        """The generator, or the program elsewhere, that drew it; empty where nobody said."""
        return str(self.facts.get("generator", ""))

    @property
    def owner(self) -> str:
        """Whose it is; empty where nobody is told apart."""
        return str(self.facts.get(FACT_OWNER, ""))

    @property
    def warnings(self) -> list[str]:
        """What was told of its making, a sentence each."""
        told = self.facts.get(WARNINGS)
        return [str(each) for each in told] if isinstance(told, list | tuple) else []

    @property
    def left_out(self) -> list[str]:
        """What a replay of a picture from elsewhere does without, a sentence each."""
        told = self.facts.get(FACT_LEFT_OUT)
        names = [str(each) for each in told] if isinstance(told, list | tuple) else []
        return [f"the picture was drawn with {name}, which this replay leaves out" for name in names]


@dataclass(frozen=True, slots=True)
class GalleryQuery:
    """Which pictures, and in which order. What is None or empty does not restrict.

    Args:
        text: Words that the prompt or the notes hold, all of them; `word*` for what begins so, `"two words"` side by
            side.
        model: The model that drew it, in any spelling of its id.
        generator: The generator that drew it.
        owner: Whose it is (since plugin API 1.1).
        width, height: Pixels.
        seed: The seed that drew it.
        since, until: Made at or after the one and before the other; with a time zone.
        tags: All of these.
        favourite: Starred, or not.
        min_rating: Rated so or better.
        sort: The order.
    """

    text: str = ""
    model: str | None = None
    generator: str | None = None
    owner: str | None = None
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    tags: tuple[str, ...] = ()
    favourite: bool | None = None
    min_rating: int = 0
    sort: Sort = "newest"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a gallery.

    Args:
        items: The records of this page.
        total: How many the whole query has.
        next_cursor: What to pass for the page after this one; None at the end.
        exact: Whether `total` is exact; a store may stop counting what a search finds, and then it is the least.
    """

    items: Sequence[ImageRecord]
    total: int
    next_cursor: str | None = None
    exact: bool = True


ALL_IMAGES = GalleryQuery()
"""The query that finds every picture: the default of `ImageStore.list`."""


def tag_key(tag: str) -> str:
    """The one spelling of a tag: lower case, single spaces, and an accent in one piece with its letter.

    File names of a Mac have accents as characters of their own, which look the same and are others to a search.
    """
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", tag).casefold().split()))


# Their names in plugin API 1.0.
EVERYTHING, ORIGINAL_SEED, LEFT_OUT = ALL_IMAGES, FACT_ORIGINAL_SEED, FACT_LEFT_OUT

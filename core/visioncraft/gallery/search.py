"""What a client typed into a search box, as words that every store understands alike."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from visioncraft.types.gallery import GalleryQuery, ImageRecord
from visioncraft.types.naming import name_key

_TERM = re.compile(r'"(?P<phrase>[^"]*)"?(?P<phrase_star>\*?)|(?P<word>[^\s"]+)')
_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand side by side.

    Args:
        words: Lower case, at least one.
        prefix: Whether the last one may go on.
    """

    words: tuple[str, ...]
    prefix: bool

    def fits(self, text: list[str]) -> bool:
        """Whether the words of a text hold these."""
        length = len(self.words)
        return any(self._fits_at(text[start : start + length]) for start in range(len(text) - length + 1))

    def _fits_at(self, found: list[str]) -> bool:
        last = found[-1].startswith(self.words[-1]) if self.prefix else found[-1] == self.words[-1]
        return last and tuple(found[:-1]) == self.words[:-1]


def search_terms(text: str) -> list[Term]:
    """The terms of a search: `"two words"` is one, `word*` is a prefix; signs alone are none."""
    terms = []
    for match in _TERM.finditer(text):
        word = match["word"]
        words = words_of(match["phrase"] if word is None else word)
        if words:
            terms.append(Term(tuple(words), prefix=bool(match["phrase_star"]) if word is None else word.endswith("*")))
    return terms


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without signs between them and accents on Latin letters."""
    return _WORD.findall(_ACCENTS.sub("", "".join(map(_apart, text.lower()))))


def _apart(character: str) -> str:
    """A Latin letter and the accents on it one by one, as macOS writes them; others as they are."""
    parts = unicodedata.normalize("NFD", character)
    return parts if parts[0].isascii() else character


def matches(record: ImageRecord, query: GalleryQuery) -> bool:
    """Whether a query finds this record: for stores without a database."""
    return _same_making(record, query) and _same_marks(record, query) and _same_words(record, query.text)


def _same_making(record: ImageRecord, query: GalleryQuery) -> bool:
    wanted = {name: getattr(query, name) for name in ("generator", "owner", "width", "height", "seed")}
    return (
        all(value is None or getattr(record, name) == value for name, value in wanted.items())
        and (query.model is None or name_key(record.model) == name_key(query.model))
        and (query.since is None or record.created_at >= query.since)
        and (query.until is None or record.created_at < query.until)
    )


def _same_marks(record: ImageRecord, query: GalleryQuery) -> bool:
    marks = record.marks
    return (
        set(query.tags) <= set(marks.tags)
        and query.favourite in (None, marks.favourite)
        and marks.rating >= query.min_rating
    )


def _same_words(record: ImageRecord, text: str) -> bool:
    if not text.strip():
        return True
    terms, found = search_terms(text), [words_of(record.prompt), words_of(record.marks.notes)]
    return bool(terms) and all(any(term.fits(words) for words in found) for term in terms)

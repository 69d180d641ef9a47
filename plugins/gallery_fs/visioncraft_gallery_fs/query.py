"""From a `GalleryQuery` to SQL: which keys, in which order, how many.

Of several filters one leads: its pictures are gone through in order, and each is looked at for the others. SQLite would
guess which one; the counts that triggers keep know the rarest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, FromClause, Select, exists, false, func, literal, select, tuple_
from visioncraft import GalleryQuery, InvalidRequest, search_terms

from visioncraft_gallery_fs.facets import Facet, no_index
from visioncraft_gallery_fs.keys import first_key
from visioncraft_gallery_fs.rows import INT64, microseconds
from visioncraft_gallery_fs.schema import picture_tags, pictures, traits, words

COUNT_AT_MOST = 1000
"""What no trigger counts is counted up to here, so that a word in a million prompts is as quick as a rare one."""

LOOKED_AT_MOST = 2000
"""So many are looked at for a count: of two filters that share little, all of both would take longer than a page."""

SORTED_AT_MOST = 2000
"""So many are sorted for a page; where there are more, a page is looked for among all pictures in their order."""

_CURSOR = re.compile(r"(?P<sort>newest|oldest|rating)\.(?P<rating>[0-5])\.(?P<key>-?[0-9]{1,19})")


class Search:
    """How to find what a query asks for.

    Parameters
    ----------
    query: What is asked for.
    numbers: Its `facets`, and how many pictures each has.
    """

    def __init__(self, query: GalleryQuery, numbers: Mapping[Facet, int]) -> None:
        self.query = query
        self._numbers = numbers
        self._words = bool(query.text.strip())
        self._lead = self._leading()
        self._key = self._leading_key()

    @property
    def counted(self) -> int | None:
        """How many it finds, where it has one filter at most and triggers count that; None where they do not."""
        asked = self.query
        uncounted = self._words or any(each is not None for each in (asked.seed, asked.since, asked.until))
        return None if uncounted or len(self._numbers) > 1 else next(iter(self._numbers.values()))

    @property
    def finds_nothing(self) -> bool:
        """Whether one of its filters has no picture at all."""
        return 0 in self._numbers.values()

    def page_of_keys(self, limit: int, offset: int, cursor: str | None) -> Select[Any]:
        """The keys of one page. Raises `InvalidRequest` for a cursor that is none of this query's."""
        conditions = self._looked_at()
        found = self._candidates().where(*conditions, *self._tags(self._key))
        if self._key is not traits.c.key and (conditions or self.query.sort == "rating"):
            found = found.join(traits, traits.c.key == self._key)
        if cursor is not None:
            found = found.where(self._after(cursor))
        order = _order(self.query, traits.c.rating, self._key)
        return found.order_by(*order).limit(_clamped(limit)).offset(_clamped(offset))

    def bounded_count(self) -> Select[int, int]:
        """How many were looked at, and how many of those it finds; one more than the bounds where there are more."""
        looked_at = self._candidates().limit(LOOKED_AT_MOST + 1).cte()
        found = select(looked_at.c.key)
        conditions = self._looked_at()
        if conditions:
            found = found.join_from(looked_at, traits, traits.c.key == looked_at.c.key)
        found = found.where(*conditions, *self._tags(looked_at.c.key)).limit(COUNT_AT_MOST + 1)
        both = (select(func.count()).select_from(each).scalar_subquery() for each in (looked_at, found.subquery()))
        return select(*both)

    def _leading(self) -> Facet | None:
        """The filter to begin with; None for words and a seed, and where all pictures are gone through in order."""
        if self._words or self.query.seed is not None:
            return None
        usable = [each for each, n in self._numbers.items() if each.in_order or n <= SORTED_AT_MOST]
        return min(usable, key=self._numbers.__getitem__, default=None)

    def _leading_key(self) -> ColumnClause[int]:
        """The column that says when, of the table that leads, so that its order is the page's."""
        if self._words:
            return words.c.rowid
        tagged = self._lead is not None and self._lead.tag is not None
        return picture_tags.c.key if tagged else traits.c.key

    def _candidates(self) -> Select[Any]:
        """What the lead alone finds in the times asked for."""
        found = select(self._key.label("key")).where(*self._times())
        if self._words:
            return found.where(_matches(self.query.text))
        if self.query.seed is not None:
            return found.where(traits.c.seed == self.query.seed)
        if self._lead is None:
            return found
        return found.where(*self._lead.conditions(indexed=True), *_tag(self._lead, picture_tags))

    def _looked_at(self) -> list[ColumnElement[bool]]:
        """What else is asked of traits, in a form that no index is used for."""
        found: list[ColumnElement[bool]] = []
        for facet in self._numbers:
            found += [] if facet is self._lead else facet.conditions(indexed=False)
        if self._words and self.query.seed is not None:
            found.append(no_index(traits.c.seed) == self.query.seed)
        return found

    def _tags(self, key: ColumnElement[int]) -> list[ColumnElement[bool]]:
        others = [each for each in self._numbers if each.tag is not None and each is not self._lead]
        tables = [(each, picture_tags.alias()) for each in others]
        return [exists().where(*_tag(each, table), table.c.key == key) for each, table in tables]

    def _times(self) -> list[ColumnElement[bool]]:
        since, until = self.query.since, self.query.until
        found = [] if since is None else [self._key >= _key_at(since)]
        return found if until is None else [*found, self._key < _key_at(until)]

    def _after(self, cursor: str) -> ColumnElement[bool]:
        match = _CURSOR.fullmatch(cursor)
        if match is None or match["sort"] != self.query.sort or not -INT64 <= int(match["key"]) < INT64:
            raise InvalidRequest(
                "Invalid cursor provided", field="cursor", issue="a next_cursor that a page of the same sort answered"
            )
        last = int(match["key"])
        if self.query.sort == "rating":
            return tuple_(traits.c.rating, self._key) < tuple_(literal(int(match["rating"])), literal(last))
        return self._key > last if self.query.sort == "oldest" else self._key < last


def whole_rows(query: GalleryQuery, keys: Select[Any]) -> Select[Any]:
    """The rows of these keys in the query's order: only what is shown is read from the table."""
    order = _order(query, pictures.c.rating, pictures.c.key)
    return select(pictures).where(pictures.c.key.in_(keys)).order_by(*order)


def cursor_after(query: GalleryQuery, key: int, rating: int) -> str:
    """What to pass for the page after the picture with this key."""
    return f"{query.sort}.{rating}.{key}"


def _tag(facet: Facet, table: FromClause) -> list[ColumnElement[bool]]:
    return [] if facet.tag is None else [table.c.tag == facet.tag]


def _matches(text: str) -> ColumnElement[bool]:
    terms = [f'"{" ".join(term.words)}"{" *" if term.prefix else ""}' for term in search_terms(text)]
    return words.c.pictures_text.op("MATCH", is_comparison=True)(" ".join(terms)) if terms else false()


def _key_at(moment: datetime) -> int:
    return min(max(first_key(microseconds(moment)), -INT64), INT64 - 1)


def _order(query: GalleryQuery, rating: ColumnElement[int], key: ColumnElement[int]) -> tuple[ColumnElement[Any], ...]:
    if query.sort == "rating":
        return rating.desc(), key.desc()
    return (key.asc(),) if query.sort == "oldest" else (key.desc(),)


def _clamped(number: int) -> int:
    return min(max(number, 0), INT64 - 1)

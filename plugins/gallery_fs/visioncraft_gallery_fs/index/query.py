"""From a `GalleryQuery` to SQL: which keys, in which order, how many.

Of several filters one leads: its pictures are gone through in order, and each is looked at for the others. SQLite would
guess which one; the counts that triggers keep know the rarest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, Integer, Select, and_, bindparam, exists, func, select, tuple_
from visioncraft import GalleryQuery, InvalidRequest, Sort, search_terms

from visioncraft_gallery_fs.index.facets import Facet, facet_values, facets, no_index, numbers_of
from visioncraft_gallery_fs.index.keys import first_key
from visioncraft_gallery_fs.index.prepared import Prepared
from visioncraft_gallery_fs.index.rows import INT64, WHOLE, microseconds
from visioncraft_gallery_fs.index.schema import picture_tags, pictures, traits, words

COUNT_AT_MOST = 1000
"""What no trigger counts is counted up to here, so that a word in a million prompts is as quick as a rare one."""

LOOKED_AT_MOST = 2000
"""So many are looked at for a count: of two filters that share little, all of both would take longer than a page."""

SORTED_AT_MOST = 2000
"""So many are sorted for a page; where there are more, a page is looked for among all pictures in their order."""

_CURSOR = re.compile(r"(?P<sort>newest|oldest|rating)\.(?P<rating>[0-5])\.(?P<key>-?[0-9]{1,19})")
_SHAPES = 256


class Search:
    """How to find what queries ask for that have the same filters. Use `search_for`.

    Args:
        asked: The names of `values_of` such a query.
        sort: Its order.
    """

    def __init__(self, asked: frozenset[str], sort: Sort) -> None:
        self.asked, self.sort = asked, sort
        self.facets = facets(asked, sort)
        self.numbers = Prepared(numbers_of(self.facets))
        self._plans: dict[tuple[Facet | None, Facet | None], Plan] = {}

    @property
    def counted(self) -> bool:
        """Whether triggers count what it finds: it has one filter at most, and that is one of theirs."""
        return len(self.facets) == 1 and not self.asked & {"text", "seed", "since", "until"}

    def plan(self, numbers: Sequence[int]) -> Plan:
        """The quickest way.

        Args:
            numbers: How many pictures each of the facets has.
        """
        way = self._way(numbers)
        if way not in self._plans:
            self._plans[way] = Plan(self.asked, self.sort, self.facets, *way)
        return self._plans[way]

    def _way(self, numbers: Sequence[int]) -> tuple[Facet | None, Facet | None]:
        """What `Plan` calls `lead` and `few`."""
        rarest = sorted(zip(self.facets, numbers, strict=True), key=lambda each: each[1])
        few = [each for each, n in rarest if n <= SORTED_AT_MOST]
        if "text" in self.asked:
            return None, next((each for each in few if each.narrows), None)
        if "seed" in self.asked:
            return None, None
        return next((each for each, _ in rarest if each.in_order or each in few), None), None


class Plan:
    """The SQL of one way to go.

    Args:
        asked, sort, facets: As `Search` has them.
        lead: The filter to begin with; None for words and a seed, and where all pictures are gone through in order.
        few: A filter beside words with so few pictures that their keys are put together first: comparing many words'
            pictures with those is several times as quick as looking each up.
    """

    def __init__(
        self, asked: frozenset[str], sort: Sort, facets: Sequence[Facet], lead: Facet | None, few: Facet | None
    ) -> None:
        self._asked, self._sort, self._lead, self._few = asked, sort, lead, few
        self._others = [each for each in facets if each is not lead and each is not few]
        self._key = self._leading_key()

    @cached_property
    def first(self) -> Prepared:
        """The rows of a page by its offset."""
        return Prepared(self._rows_of(self.page_of_keys(behind_cursor=False)))

    @cached_property
    def after(self) -> Prepared:
        """The rows of a page behind a cursor."""
        return Prepared(self._rows_of(self.page_of_keys(behind_cursor=True)))

    @cached_property
    def bounded_count(self) -> Prepared:
        """How many of the first `open_immutable` candidates there are, and how many of those it finds."""
        candidates = self._candidates().limit(bindparam("look_at")).subquery()
        looked_up = self._looked_up()
        conditions = [*looked_up, *self._compared(candidates.c.key)]
        found = func.count().filter(and_(*conditions)) if conditions else func.count()
        both = select(func.count(), found).select_from(candidates)
        return Prepared(both.join(traits, traits.c.key == candidates.c.key) if looked_up else both)

    def page_of_keys(self, behind_cursor: bool) -> Select[Any]:
        """The keys of one page."""
        looked_up = self._looked_up()
        found = self._candidates().where(*looked_up, *self._compared(self._key))
        if self._key is not traits.c.key and (looked_up or self._sort == "rating"):
            found = found.join(traits, traits.c.key == self._key)
        if behind_cursor:
            found = found.where(self._after())
        order = _order(self._sort, traits.c.rating, self._key)
        return found.order_by(*order).limit(bindparam("limit")).offset(bindparam("offset"))

    def _leading_key(self) -> ColumnClause[int]:
        """The column that says when, of the table that leads, so that its order is the page's."""
        if "text" in self._asked:
            return words.c.rowid
        tagged = self._lead is not None and self._lead.tag is not None
        return picture_tags.c.key if tagged else traits.c.key

    def _candidates(self) -> Select[Any]:
        """What the lead alone finds in the times asked for."""
        found = select(self._key.label("key")).where(*self._times())
        if "text" in self._asked:
            return found.where(words.c.pictures_text.op("MATCH", is_comparison=True)(bindparam("text")))
        if "seed" in self._asked:
            return found.where(traits.c.seed == bindparam("seed"))
        return found if self._lead is None else found.where(*self._lead.conditions(indexed=True))

    def _looked_up(self) -> list[ColumnElement[bool]]:
        """What else is asked of traits, in a form that no index is used for."""
        found = [each for facet in self._others if facet.tag is None for each in facet.conditions(indexed=False)]
        if {"text", "seed"} <= self._asked:
            found.append(no_index(traits.c.seed) == bindparam("seed"))
        return found

    def _compared(self, key: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """What else is asked of the key itself: one of few, or of pictures with further tags."""
        tables = [(each, picture_tags.alias()) for each in self._others if each.tag is not None]
        tagged: list[ColumnElement[bool]] = [
            exists().where(*each.conditions(True, table), table.c.key == key) for each, table in tables
        ]
        return tagged if self._few is None else [no_index(key).in_(self._few.keys()), *tagged]

    def _times(self) -> list[ColumnElement[bool]]:
        found = [self._key >= bindparam("since")] if "since" in self._asked else []
        return [*found, self._key < bindparam("until")] if "until" in self._asked else found

    def _after(self) -> ColumnElement[bool]:
        last: ColumnElement[int] = bindparam("last_key", type_=Integer())
        if self._sort == "rating":
            return tuple_(traits.c.rating, self._key) < tuple_(bindparam("last_rating"), last)
        return self._key > last if self._sort == "oldest" else self._key < last

    def _rows_of(self, keys: Select[Any]) -> Select[Any]:
        """The rows of these keys in the same order: only what is shown is read from the table."""
        order = _order(self._sort, pictures.c.rating, pictures.c.key)
        return WHOLE.where(pictures.c.key.in_(keys)).order_by(*order)


def values_of(query: GalleryQuery) -> dict[str, Any]:
    """What a query asks for, by the names of the parameters that it is bound to."""
    values = facet_values(query)
    if query.text.strip():
        values["text"] = _matched(query.text)
    if query.seed is not None:
        values["seed"] = query.seed
    for name, moment in (("since", query.since), ("until", query.until)):
        if moment is not None:
            values[name] = _key_at(moment)
    return values


@lru_cache(_SHAPES)
def search_for(asked: frozenset[str], sort: Sort) -> Search:
    """How to find it."""
    return Search(asked, sort)


def page_values(query: GalleryQuery, limit: int, offset: int, cursor: str | None) -> dict[str, int]:
    """Which page. Raises `InvalidRequest` for a cursor that is none of this query's.

    The limit is one more than is shown, which says whether there is a page after it.
    """
    bounds = {"limit": _clamped(limit + 1), "offset": _clamped(offset)}
    if cursor is None:
        return bounds
    match = _CURSOR.fullmatch(cursor)
    if match is None or match["sort"] != query.sort or not -INT64 <= int(match["key"]) < INT64:
        raise InvalidRequest.of("cursor", "a next_cursor that a page of the same sort answered")
    return {**bounds, "last_key": int(match["key"]), "last_rating": int(match["rating"])}


def cursor_after(query: GalleryQuery, key: int, rating: int) -> str:
    """What to pass for the page after the picture with this key."""
    return f"{query.sort}.{rating}.{key}"


def _matched(text: str) -> str:
    """As FTS5 writes it. The empty phrase is in no text."""
    terms = [f'"{" ".join(term.words)}"{" *" if term.prefix else ""}' for term in search_terms(text)]
    return " ".join(terms) or '""'


def _key_at(moment: datetime) -> int:
    return min(max(first_key(microseconds(moment)), -INT64), INT64 - 1)


def _order(sort: Sort, rating: ColumnElement[int], key: ColumnElement[int]) -> tuple[ColumnElement[Any], ...]:
    if sort == "rating":
        return rating.desc(), key.desc()
    return (key.asc(),) if sort == "oldest" else (key.desc(),)


def _clamped(number: int) -> int:
    return min(max(number, 0), INT64 - 1)

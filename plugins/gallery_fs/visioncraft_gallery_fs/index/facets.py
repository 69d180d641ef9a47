"""The filters whose pictures triggers count: how many each has says which one to begin with.

What a filter asks for is a parameter of the SQL, so that it is written once for all queries that ask alike.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Select, UnaryExpression, bindparam, func, select
from sqlalchemy.sql.operators import custom_op
from visioncraft import GalleryQuery, Sort, name_key

from visioncraft_gallery_fs.index.schema import counts, picture_tags, traits

Asked = tuple[Column[Any], Callable[[Any, Any], ColumnElement[bool]], str]


@dataclass(frozen=True, slots=True, eq=False)
class Facet:
    """One filter.

    Args:
        counted: Its rows among the counts.
        asked: Columns of traits, how each is compared, and the parameter it is compared with; nothing for a tag.
        tag: The parameter that holds the tag, for one.
        in_order: Whether an index gives its pictures in the query's order, so that a page of many need not sort.
    """

    counted: ColumnElement[bool]
    asked: Sequence[Asked] = ()
    tag: str | None = None
    in_order: bool = False

    @property
    def narrows(self) -> bool:
        """Whether it asks for anything: every picture does not."""
        return bool(self.asked) or self.tag is not None

    def conditions(self, indexed: bool, tags: FromClause = picture_tags) -> list[ColumnElement[bool]]:
        """What it asks of traits or tags, in a form that SQLite may use an index for, or in one that it may not."""
        if self.tag is not None:
            return [tags.c.tag == bindparam(self.tag)]
        return [
            compare(column if indexed else no_index(column), bindparam(name)) for column, compare, name in self.asked
        ]

    def keys(self) -> Select[int]:
        """The keys of all its pictures."""
        key = traits.c.key if self.tag is None else picture_tags.c.key
        return select(key).where(*self.conditions(indexed=True))


_EVERY_PICTURE = Facet((counts.c.facet == "all") & (counts.c.value == ""), in_order=True)


def facet_values(query: GalleryQuery) -> dict[str, Any]:
    """Parameters and their values: what the query's filters that triggers count ask for."""
    width, height = query.width, query.height
    values: dict[str, Any] = {
        "model": None if query.model is None else name_key(query.model),
        "generator": query.generator,
        "owner": query.owner,
        "favourite": query.favourite,
        "width": width,
        "height": height,
        "min_rating": query.min_rating or None,
        **{f"tag{number}": tag for number, tag in enumerate(query.tags)},
    }
    if width is not None and height is not None:
        values["size"] = f"{width}x{height}"
    elif width is not None:  # "x" and the letter behind it bound every height
        values |= {"size_from": f"{width}x", "size_to": f"{width}y"}
    elif height is not None:
        values["size_like"] = f"%x{height}"
    return {name: value for name, value in values.items() if value is not None}


def facets(asked: frozenset[str], sort: Sort) -> list[Facet]:
    """The filters of a query that asks for these parameters, or every picture. Words, seeds and times nobody counts."""
    by_time = sort != "rating"
    found = [*_equal(asked, by_time), *_one_side(asked)]
    if "min_rating" in asked:
        best = (counts.c.facet == "rating") & (counts.c.value >= bindparam("min_rating"))
        found.append(Facet(best, [(traits.c.rating, operator.ge, "min_rating")], in_order=not by_time))
    tags = sorted(name for name in asked if name.startswith("tag"))
    found += [Facet(_counted("tag", name), tag=name, in_order=by_time) for name in tags]
    return found or [_EVERY_PICTURE]


def numbers_of(found: Sequence[Facet]) -> Select[*tuple[int, ...]]:
    """One row: how many pictures each of these has."""
    sums = (select(func.coalesce(func.sum(counts.c.n), 0)).where(each.counted) for each in found)
    return select(*(each.scalar_subquery() for each in sums))


def no_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column in a form that no index is used for.

    https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _equal(asked: frozenset[str], by_time: bool) -> Iterator[Facet]:
    wanted: dict[str, dict[Column[Any], str]] = {
        "model": {traits.c.model_key: "model"},
        "generator": {traits.c.generator: "generator"},
        "owner": {traits.c.owner: "owner"},
        "favourite": {traits.c.favourite: "favourite"},
        "size": {traits.c.width: "width", traits.c.height: "height"},
    }
    for name, columns in wanted.items():
        if name in asked:
            compared = [(column, operator.eq, value) for column, value in columns.items()]
            yield Facet(_counted(name, name), compared, in_order=by_time)


def _one_side(asked: frozenset[str]) -> Iterator[Facet]:
    """A width or a height alone."""
    size = counts.c.facet == "size"
    every: ColumnElement[bool]
    if "size_from" in asked:
        every = (counts.c.value >= bindparam("size_from")) & (counts.c.value < bindparam("size_to"))
        yield Facet(size & every, [(traits.c.width, operator.eq, "width")])
    if "size_like" in asked:
        every = counts.c.value.like(bindparam("size_like"))
        yield Facet(size & every, [(traits.c.height, operator.eq, "height")])


def _counted(facet: str, parameter: str) -> ColumnElement[bool]:
    return (counts.c.facet == facet) & (counts.c.value == bindparam(parameter))

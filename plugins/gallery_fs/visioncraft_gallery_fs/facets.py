"""The filters whose pictures triggers count: how many each has says which one to begin with."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, UnaryExpression, func, select
from sqlalchemy.sql.operators import custom_op
from visioncraft import GalleryQuery, canonical_id

from visioncraft_gallery_fs.schema import counts, traits

Asked = tuple[Column[Any], Callable[[Any, Any], ColumnElement[bool]], object]


@dataclass(frozen=True, slots=True, eq=False)
class Facet:
    """One filter.

    Parameters
    ----------
    counted: Its rows among the counts.
    asked: Columns of traits, how each is compared, and with what; nothing for a tag.
    tag: The tag, for one.
    in_order: Whether an index gives its pictures in the query's order, so that a page of many need not sort.
    """

    counted: ColumnElement[bool]
    asked: Sequence[Asked] = ()
    tag: str | None = None
    in_order: bool = False

    def conditions(self, indexed: bool) -> list[ColumnElement[bool]]:
        """What it asks of traits, in a form that SQLite may use an index for, or in one that it may not."""
        return [compare(column if indexed else no_index(column), value) for column, compare, value in self.asked]


_EVERY_PICTURE = Facet((counts.c.facet == "all") & (counts.c.value == ""), in_order=True)


def facets(query: GalleryQuery) -> list[Facet]:
    """The query's filters that triggers count, or every picture. Words, a seed and times nobody counts."""
    by_rating = query.sort == "rating"
    found = [*_equal(query), *_one_side(query)]
    if query.min_rating:
        best = (counts.c.facet == "rating") & (counts.c.value >= query.min_rating)
        found.append(Facet(best, [(traits.c.rating, operator.ge, query.min_rating)], in_order=by_rating))
    found += [Facet(_counted("tag", tag), tag=tag, in_order=not by_rating) for tag in query.tags]
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


def _equal(query: GalleryQuery) -> Iterator[Facet]:
    model = None if query.model is None else canonical_id(query.model)
    favourite = None if query.favourite is None else int(query.favourite)
    wanted: list[tuple[str, object, dict[Column[Any], object]]] = [
        ("model", model, {traits.c.model_key: model}),
        ("generator", query.generator, {traits.c.generator: query.generator}),
        ("favourite", favourite, {traits.c.favourite: query.favourite}),
    ]
    if query.width is not None and query.height is not None:
        size: dict[Column[Any], object] = {traits.c.width: query.width, traits.c.height: query.height}
        wanted.append(("size", f"{query.width}x{query.height}", size))
    for name, value, columns in wanted:
        if value is not None:
            asked = [(column, operator.eq, each) for column, each in columns.items()]
            yield Facet(_counted(name, value), asked, in_order=query.sort != "rating")


def _one_side(query: GalleryQuery) -> Iterator[Facet]:
    """A width or a height alone."""
    size = counts.c.facet == "size"
    every: ColumnElement[bool]
    if query.height is None and query.width is not None:  # "x" and the letter behind it bound every height
        every = (counts.c.value >= f"{query.width}x") & (counts.c.value < f"{query.width}y")
        yield Facet(size & every, [(traits.c.width, operator.eq, query.width)])
    if query.width is None and query.height is not None:
        every = counts.c.value.like(f"%x{query.height}")
        yield Facet(size & every, [(traits.c.height, operator.eq, query.height)])


def _counted(name: str, value: object) -> ColumnElement[bool]:
    return (counts.c.facet == name) & (counts.c.value == value)

"""From a `GalleryQuery` to SQL: which keys, in which order, how many."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, literal, select, tuple_
from visioncraft import GalleryQuery, InvalidRequest, canonical_id, search_terms

from visioncraft_gallery_fs.keys import first_key
from visioncraft_gallery_fs.rows import INT64, microseconds
from visioncraft_gallery_fs.schema import counts, picture_tags, pictures, words

COUNT_AT_MOST = 1000
"""What no trigger counts is counted up to here, so that a word in a million prompts is as quick as a rare one."""

_CURSOR = re.compile(r"(?P<sort>newest|oldest|rating)\.(?P<rating>[0-5])\.(?P<key>-?[0-9]{1,19})")


def page_of_keys(query: GalleryQuery, limit: int, offset: int, cursor: str | None) -> Select[Any]:
    """The keys of one page. Raises `InvalidRequest` for a cursor that is none of this query's."""
    key = _key(query)
    found = _found(query)
    if cursor is not None:
        found = found.where(_after(query, key, cursor))
    return found.order_by(*_order(query, key)).limit(_clamped(limit)).offset(_clamped(offset))


def whole_rows(query: GalleryQuery, keys: Select[Any]) -> Select[Any]:
    """The rows of these keys in the query's order: only what is shown is read from the table."""
    return select(pictures).where(pictures.c.key.in_(keys)).order_by(*_order(query, pictures.c.key))


def cursor_after(query: GalleryQuery, key: int, rating: int) -> str:
    """What to pass for the page after the picture with this key."""
    return f"{query.sort}.{rating}.{key}"


def kept_count(query: GalleryQuery) -> Select[Any] | None:
    """The count that triggers keep, where the query has at most one restriction and that is one of theirs."""
    facets: list[ColumnElement[bool]] = []
    if query.model is not None:
        facets.append(_facet("model", canonical_id(query.model)))
    if query.generator is not None:
        facets.append(_facet("generator", query.generator))
    if query.width is not None and query.height is not None:
        facets.append(_facet("size", f"{query.width}x{query.height}"))
    if query.favourite is not None:
        facets.append(_facet("favourite", int(query.favourite)))
    if query.min_rating:
        facets.append((counts.c.facet == "rating") & (counts.c.value >= query.min_rating))
    facets += [_facet("tag", tag) for tag in query.tags]
    uncounted = query.text.strip() or (query.width is None) != (query.height is None)
    if uncounted or any(each is not None for each in (query.seed, query.since, query.until)) or len(facets) > 1:
        return None
    return select(func.coalesce(func.sum(counts.c.n), 0)).where(facets[0] if facets else _facet("all", ""))


def bounded_count(query: GalleryQuery) -> Select[Any]:
    """How many the query finds, one more than `COUNT_AT_MOST` where there are more."""
    return select(func.count()).select_from(_found(query).limit(COUNT_AT_MOST + 1).subquery())


def _found(query: GalleryQuery) -> Select[Any]:
    conditions = _conditions(query)
    if not query.text.strip():
        return select(pictures.c.key).where(*conditions)
    found = select(words.c.rowid.label("key")).where(_matches(query.text))
    if conditions or query.sort == "rating":
        found = found.join_from(words, pictures, pictures.c.key == words.c.rowid).where(*conditions)
    return found


def _matches(text: str) -> ColumnElement[bool]:
    terms = [f'"{" ".join(term.words)}"{" *" if term.prefix else ""}' for term in search_terms(text)]
    return words.c.pictures_text.op("MATCH", is_comparison=True)(" ".join(terms)) if terms else false()


def _conditions(query: GalleryQuery) -> list[ColumnElement[bool]]:
    wanted = {
        pictures.c.model_key: None if query.model is None else canonical_id(query.model),
        pictures.c.generator: query.generator,
        pictures.c.width: query.width,
        pictures.c.height: query.height,
        pictures.c.seed: query.seed,
        pictures.c.favourite: query.favourite,
    }
    found: list[ColumnElement[bool]] = [each == value for each, value in wanted.items() if value is not None]
    key = _key(query)
    if query.since is not None:
        found.append(key >= _key_at(query.since))
    if query.until is not None:
        found.append(key < _key_at(query.until))
    if query.min_rating:
        found.append(pictures.c.rating >= query.min_rating)
    tagged = (select(picture_tags.c.key).where(picture_tags.c.tag == tag) for tag in query.tags)
    return found + [pictures.c.key.in_(keys) for keys in tagged]


def _key(query: GalleryQuery) -> ColumnElement[int]:
    """The column that says when: the full-text index's own where words are searched, so that it need not sort."""
    return words.c.rowid if query.text.strip() else pictures.c.key


def _key_at(moment: datetime) -> int:
    return min(max(first_key(microseconds(moment)), -INT64), INT64 - 1)


def _order(query: GalleryQuery, key: ColumnElement[int]) -> tuple[ColumnElement[Any], ...]:
    if query.sort == "rating":
        return pictures.c.rating.desc(), key.desc()
    return (key.asc(),) if query.sort == "oldest" else (key.desc(),)


def _after(query: GalleryQuery, key: ColumnElement[int], cursor: str) -> ColumnElement[bool]:
    match = _CURSOR.fullmatch(cursor)
    if match is None or match["sort"] != query.sort or not -INT64 <= int(match["key"]) < INT64:
        raise InvalidRequest(
            "Invalid cursor provided", field="cursor", issue="a next_cursor that a page of the same sort answered"
        )
    last = int(match["key"])
    if query.sort == "rating":
        return tuple_(pictures.c.rating, key) < tuple_(literal(int(match["rating"])), literal(last))
    return key > last if query.sort == "oldest" else key < last


def _facet(name: str, value: object) -> ColumnElement[bool]:
    return (counts.c.facet == name) & (counts.c.value == value)


def _clamped(number: int) -> int:
    return min(max(number, 0), INT64 - 1)

"""What a query finds, in which order and how many: the gallery on disk agrees with the plain one in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from visioncraft import GalleryQuery, ImageRecord, ImageStore, InvalidRequest, Marks, with_record
from visioncraft.gallery.memory import MemoryStore
from visioncraft_gallery_fs.index import query as sql
from visioncraft_gallery_fs.index.facets import Facet
from visioncraft_gallery_fs.index.prepared import Prepared
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]
START = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
PROMPTS = [
    "a red apple",
    "Green apples, 苹果",
    'the "red" pear-tree',
    "éclair; DROP TABLE pictures",
    "",
    "re*d NOT apple",
]
QUERIES = [
    GalleryQuery(),
    GalleryQuery(sort="oldest"),
    GalleryQuery(sort="rating"),
    GalleryQuery(model="MODEL-1-5"),
    GalleryQuery(model="Model_1 5"),
    GalleryQuery(model="nobody"),
    GalleryQuery(generator="local_sd"),
    GalleryQuery(generator="local_sd", model="mini", sort="oldest"),
    GalleryQuery(width=64, height=48),
    GalleryQuery(width=64),
    GalleryQuery(height=64, sort="rating"),
    GalleryQuery(seed=3),
    GalleryQuery(since=START + timedelta(seconds=10), until=START + timedelta(seconds=20)),
    GalleryQuery(since=datetime(1, 1, 1, tzinfo=UTC), until=datetime(9999, 12, 31, tzinfo=UTC)),
    GalleryQuery(tags=("fruit",)),
    GalleryQuery(tags=("fruit", "round")),
    GalleryQuery(tags=("fruit",), favourite=True, sort="rating"),
    GalleryQuery(favourite=False),
    GalleryQuery(min_rating=3),
    GalleryQuery(min_rating=3, sort="rating", model="mini"),
    GalleryQuery(text="apple"),
    GalleryQuery(text="APPLE red"),
    GalleryQuery(text="app*"),
    GalleryQuery(text='"red pear"'),
    GalleryQuery(text='"red pe"*', sort="oldest"),
    GalleryQuery(text="apple", model="mini", min_rating=1, sort="rating"),
    GalleryQuery(text="noted", tags=("fruit",)),
    GalleryQuery(text="苹果", since=START),
    GalleryQuery(text="drop table"),
    GalleryQuery(text="!!! ---"),
    GalleryQuery(text="   "),
]


Both = tuple[GalleryStore, MemoryStore]


def filled(root: Path, draw: Draw) -> Both:
    """A gallery of each kind with the same pictures."""
    store, memory = GalleryStore(root), MemoryStore()
    store.start()
    for number in range(48):
        record, png = draw(model=("mini", "model-1.5")[number % 2], prompt=PROMPTS[number % len(PROMPTS)])
        facts = {"generator": ("local_sd", "leonardo")[number % 3 == 0]}
        moment = START + timedelta(seconds=number * 7 % 48)
        record = replace(record, seed=number % 5, width=(64, 128)[number % 4 == 0], created_at=moment, facts=facts)
        png = with_record(png, record)
        tags = ("fruit", "round")[: number % 3]
        marks = Marks(tags, number % 5 == 0, number % 6, "noted" if number % 7 == 0 else "")
        for each in (store, memory):
            each.save(record, png)
            each.mark(record.id, marks)
    return store, memory


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, draw: Draw) -> Iterator[Both]:
    """For tests that only read."""
    stores = filled(tmp_path_factory.mktemp("both") / "gallery", draw)
    yield stores
    stores[0].close()


@pytest.fixture
def own(root: Path, draw: Draw) -> Iterator[Both]:
    """For tests that change something."""
    stores = filled(root, draw)
    yield stores
    stores[0].close()


def walk(store: ImageStore, query: GalleryQuery) -> Iterator[ImageRecord]:
    page = store.list(5, query=query)
    while True:
        yield from page.items
        if page.next_cursor is None:
            return
        page = store.list(5, query=query, cursor=page.next_cursor)


@pytest.mark.parametrize("query", QUERIES, ids=repr)
def test_disk_and_memory_find_the_same(query: GalleryQuery, both: Both) -> None:
    disk, memory = both
    found, expected = disk.list(100, query=query), memory.list(100, query=query)
    assert [record.id for record in found.items] == [record.id for record in expected.items]
    assert (found.total, found.exact, found.next_cursor) == (len(expected.items), True, None)
    assert list(walk(disk, query)) == list(found.items)
    assert list(walk(memory, query)) == list(expected.items)
    assert list(disk.list(3, 4, query).items) == list(found.items[4:7])


def test_the_queries_above_tell_pictures_apart(both: Both) -> None:
    totals = [both[0].list(1, query=query).total for query in QUERIES]
    assert len(set(totals)) > 10 and totals.count(0) <= 5


@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_a_walk_shows_none_twice_and_leaves_none_out_while_others_save_and_delete(
    sort: str, own: Both, draw: Draw
) -> None:
    query = GalleryQuery(sort=sort)  # type: ignore[arg-type]
    for store in own:
        before = [record.id for record in store.list(100, query=query).items]
        page, seen = store.list(5, query=query), []
        while page.next_cursor is not None:
            seen += [record.id for record in page.items]
            store.save(*draw())  # older than all, as an import may be
            store.delete(seen[-1])  # the very one the cursor names
            page = store.list(5, query=query, cursor=page.next_cursor)
        seen += [record.id for record in page.items]
        assert [each for each in seen if each in before] == before
        assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    "cursor", ["", "5", "newest.0.x", "oldest.0.5", "newest.9.5", f"newest.0.{10**30}", "newest.0.5\0"]
)
def test_a_cursor_that_is_none_of_this_query_is_refused(cursor: str, both: Both) -> None:
    for store in both:
        with pytest.raises(InvalidRequest, match="cursor"):
            store.list(5, cursor=cursor)


HOSTILE = [
    '"',
    '""',
    '"a',
    "a OR b",
    "NEAR(a b)",
    "prompt:a",
    "-a",
    "a*b*",
    "^a",
    "(",
    "{a b}: c",
    "a\0b",
    "\x1f",
    "'",
    "+",
    "*",
]


@pytest.mark.parametrize("text", [*HOSTILE, " ".join("x" for _ in range(250)), "a" * 500])
def test_no_search_text_is_an_error(text: str, both: Both) -> None:
    disk, memory = both
    query = GalleryQuery(text=text)
    assert disk.list(50, query=query).total == memory.list(50, query=query).total


def test_what_no_trigger_counts_is_counted_up_to_a_bound(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "COUNT_AT_MOST", 4)
    page = both[0].list(2, query=GalleryQuery(text="apple"))
    assert (page.total, page.exact) == (4, False)
    page = both[0].list(2, query=GalleryQuery(model="mini"))
    assert (page.total, page.exact) == (24, True)


def test_what_filters_share_is_counted_among_so_many_and_no_more(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    for query in (GalleryQuery(tags=("fruit",), min_rating=3), GalleryQuery(text="apple", model="mini")):
        everything = both[1].list(50, query=query)
        assert both[0].list(2, query=query).total == everything.total > 3
        monkeypatch.setattr(sql, "LOOKED_AT_MOST", 6)
        page = both[0].list(2, query=query)
        assert 2 <= page.total < everything.total and not page.exact
        page = both[0].list(50, query=query)
        assert page.total == len(page.items) == everything.total
        monkeypatch.undo()


def test_the_counts_that_triggers_keep_are_what_counting_finds(own: Both, root: Path) -> None:
    store = own[0]
    for record in store.list(20).items:
        store.mark(record.id, Marks(("new",), not record.marks.favourite, 5))
    store.delete_many([record.id for record in store.list(10, 5).items])
    store.reindex()
    connection = sqlite3.connect(root / "index.sqlite3")
    kept = dict(connection.execute("SELECT facet || ':' || value, n FROM counts WHERE n"))
    counted: dict[str, int] = {}
    for facet, column in (
        ("model", "model_key"),
        ("generator",) * 2,
        ("owner",) * 2,
        ("favourite",) * 2,
        ("rating",) * 2,
    ):
        rows = connection.execute(f"SELECT {column}, count(*) FROM pictures GROUP BY 1")  # noqa: S608
        counted |= {f"{facet}:{value}": n for value, n in rows}
    tags = connection.execute("SELECT value, count(*) FROM pictures, json_each(tags) GROUP BY 1")
    counted |= {f"tag:{value}": n for value, n in tags}
    sizes = connection.execute("SELECT width || 'x' || height, count(*) FROM pictures GROUP BY 1")
    counted |= {f"size:{value}": n for value, n in sizes}
    (total, size) = connection.execute("SELECT count(*), sum(bytes) FROM pictures").fetchone()
    assert kept == counted | {"all:": total, "bytes:": size}
    assert size == sum(path.stat().st_size for path in root.rglob("*.png"))
    connection.close()


def plan_of(store: GalleryStore, query: GalleryQuery, numbers: dict[str, int]) -> str:
    """SQLite's own plan for a page behind a cursor, where each filter has so many pictures, or as many as in a large
    gallery."""
    values = sql.values_of(query)
    search = sql.search_for(frozenset(values), query.sort)
    plan = search.plan([numbers.get(name_of(facet), 100_000) for facet in search.facets])
    keys = Prepared(plan.page_of_keys(behind_cursor=True))
    values |= sql.page_values(query, 5, 0, f"{query.sort}.0.5")
    with closing(sqlite3.connect(store.root / "index.sqlite3")) as connection:
        return " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {keys.sql}", values))


def name_of(facet: Facet) -> str:
    """The first parameter of a filter."""
    return facet.tag or next((name for _, _, name in facet.asked), "")


@pytest.mark.parametrize("query", [query for query in QUERIES if not (query.text and query.sort == "rating")], ids=repr)
def test_no_page_of_many_sorts(query: GalleryQuery, both: Both) -> None:
    """A page is a search or a scan in the order asked for, never a temporary B-tree of all."""
    plan = plan_of(both[0], query, {})
    assert "TEMP B-TREE" not in plan, plan
    assert "pictures" not in plan.replace("pictures_text", ""), "whole pictures are read for those alone that are shown"


SEVERAL = GalleryQuery(
    model="mini", generator="local_sd", width=64, height=48, favourite=True, min_rating=2, tags=("fruit",)
)
INDEXES = {
    "model": "traits_by_model",
    "generator": "traits_by_generator",
    "favourite": "traits_by_favourite",
    "width": "traits_by_size",
    "tag0": "picture_tags",
}


@pytest.mark.parametrize("rare", INDEXES)
def test_of_several_filters_the_rarest_leads(rare: str, both: Both) -> None:
    plan = plan_of(both[0], SEVERAL, {rare: 50})
    assert INDEXES[rare] in plan.split(" | ")[0], plan
    assert plan.count("INDEX traits") <= 1 and "SCAN" not in plan, plan


@pytest.mark.parametrize("rare", INDEXES)
def test_words_are_compared_with_the_few_pictures_of_a_filter(rare: str, both: Both) -> None:
    """Looking up each of a hundred thousand pictures with a word takes three times as long as going through them."""
    plan = plan_of(both[0], replace(SEVERAL, text="apple"), {rare: 50}).split(" | ")
    assert plan[0].startswith("SCAN pictures_text"), plan
    (few,) = (after for before, after in pairwise(plan) if before.startswith("LIST SUBQUERY"))
    assert INDEXES[rare] in few, plan


def test_words_alone_are_compared_with_nothing(both: Both) -> None:
    assert "traits" not in plan_of(both[0], GalleryQuery(text="apple"), {"": 50})

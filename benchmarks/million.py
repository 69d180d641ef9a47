"""A million rows, 100,000 of them with real files, behind a real server; InvokeAI's way on the same rows beside it."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from urllib.parse import urlparse

import httpx
import numpy as np
import psutil
from visioncraft import ImageRecord, Marks, encode_png, image_filename, new_image_id, with_record
from visioncraft_gallery_fs.index.opening import open_index
from visioncraft_gallery_fs.index.rows import to_row
from visioncraft_gallery_fs.store import GalleryStore

from benchmarks.invokeai import InvokeAI
from benchmarks.serving import server

PICTURES = 1_000_000
FILES = 100_000
PAGE = 50
FAR = 500_000
CALLS = 400
SAVES = 60
TARGET_MS = 5.0
TARGET_FAR_MS = 50.0
TARGET_GROWTH_MIB = 50.0
_BATCH = 5000
_NOUNS = ("castle", "fox", "harbour", "lighthouse", "mountain", "orchard", "portrait", "robot", "street", "teapot")
_RARE = tuple(f"{first}{second}" for first in ("amber", "birch", "cobalt", "dune") for second in range(2500))

_SMALL = encode_png(np.zeros((64, 64, 3), dtype=np.uint8))

Row = tuple[str, str, str]


def rows(folder: Path) -> Iterator[Row]:
    """Over HTTP, without picture data: (what, ours, InvokeAI's way and the target)."""
    gc.freeze()  # what this process has loaded; looking for garbage in it would count as the server's time
    root = folder / "gallery"
    seconds = _fill(root, folder / "invokeai.db")
    yield f"filling an index with {PICTURES:,} rows", f"{seconds:.0f} s", ""
    settings = f"[plugins.config.gallery_fs]\nroot = {json.dumps(str(root))}\n"
    with server(settings) as (client, _, start), closing(InvokeAI(folder / "invokeai.db")) as peer:
        yield f"visioncraft serve until its first answer at {PICTURES:,}", f"{start:.2f} s", ""
        yield from _measured(client, peer, root / "index.sqlite3")
    yield from _saving(root, folder)
    yield from _rebuilding(root)


def _measured(client: httpx.Client, peer: InvokeAI, index: Path) -> Iterator[Row]:
    process = _process_of(client)
    _pages(client, [""])
    before = process.memory_info().rss
    early = _pages(client, [""] * CALLS)
    while process.io_counters().read_chars < index.stat().st_size:
        early += _pages(client, [""] * 10)
    yield _line("first page, while a start reads the index into memory", early, None, None)
    chance = Random(2026)  # noqa: S311 - a benchmark's dice
    words = [chance.choice(_RARE) for _ in range(CALLS)]
    first = _pages(client, [""] * CALLS)
    yield _line("first page of 50", first, _peer_page(peer, 0, 40), TARGET_MS)
    cursors = [f"newest.0.{_microsecond(chance.randrange(PICTURES)) * 1024}" for _ in range(CALLS)]
    keyset = _pages(client, [f"&cursor={cursor}" for cursor in cursors])
    yield _line("any page by cursor", keyset, _peer_page(peer, PICTURES // 2, 5), TARGET_MS)
    far = _pages(client, [f"&offset={FAR}"] * 40)
    yield _line(f"offset {FAR:,}", far, _peer_page(peer, FAR, 5), TARGET_FAR_MS)
    rare = _pages(client, [f"&q={word}" for word in words])
    yield _line("search, a word in 100 prompts", rare, _peer_search(peer, words[:5]), TARGET_MS)
    common = _pages(client, [f"&q={chance.choice(_NOUNS)}" for _ in range(CALLS)])
    yield _line("search, a word in 100,000 prompts", common, _peer_search(peer, _NOUNS[:5]), TARGET_MS)
    for what, query, target in _filters(chance):
        yield _line(what, _pages(client, [query() for _ in range(CALLS)]), None, target)
    growth = (process.memory_info().rss - before) / 2**20
    yield "memory the server gained meanwhile", f"{growth:.1f} MiB", f"target at most {TARGET_GROWTH_MIB:g} MiB"


def _filters(chance: Random) -> list[tuple[str, Callable[[], str], float | None]]:
    """What else people ask for: its name, the query, and the target."""

    def rare() -> str:
        return f"&q={chance.choice(_RARE)}"

    def noun() -> str:
        return f"&q={chance.choice(_NOUNS)}"

    def model() -> str:
        return f"&model=model-{chance.randrange(3)}"

    def days() -> str:
        number = chance.randrange(PICTURES - 5000)
        since, until = (_moment(each).strftime("%Y-%m-%dT%H:%M:%S") for each in (number, number + 5000))
        return f"&since={since}&until={until}"

    return [
        ("search, two words", lambda: f"{rare()}+{chance.choice(_NOUNS)}", TARGET_MS),
        ("a word in 100 prompts and a model", lambda: rare() + model(), TARGET_MS),
        ("a word in 100,000 prompts and a model", lambda: noun() + model(), TARGET_MS),
        ("a word in 100,000 prompts and a rating", lambda: f"{noun()}&min_rating=3", TARGET_MS),
        ("a word in 100,000 prompts and a star in 1,000", lambda: f"{noun()}&favourite=true", None),
        ("first page of one model of three", model, TARGET_MS),
        ("a model and a star in 1,000", lambda: f"{model()}&favourite=true", TARGET_MS),
        ("a tag in 10,000 and a rating", lambda: "&tag=kept&min_rating=3", TARGET_MS),
        ("a tag in 10,000 and a model", lambda: f"&tag=kept{model()}", TARGET_MS),
        ("the best rated first", lambda: "&sort=rating", TARGET_MS),
        ("some days and a size", lambda: f"{days()}&width=1024&height=1024", TARGET_MS),
        ("a seed", lambda: f"&seed={chance.randrange(PICTURES)}", TARGET_MS),
    ]


def _saving(root: Path, folder: Path) -> Iterator[Row]:
    """A picture of 1024x1024 that is encoded already, into the full gallery; in turn with it the disk's own share.

    Twice, and in between the first ones are removed: the system's cache takes memory that it has not used since the
    machine started, and a virtual machine then waits for its host to find some, for longer than all the rest may take.
    """
    store = GalleryStore(root)
    store.start()
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8) // 8
    png = encode_png(pixels.astype(np.uint8))
    saved: list[str] = []

    def save() -> None:
        record = replace(_record(PICTURES), created_at=datetime.now(UTC), filename="")
        saved.append(store.save(record, with_record(png, record)).id)

    def plain() -> None:
        with (folder / f"plain-{len(saved)}.png").open("wb") as stream:
            stream.write(png)
            stream.flush()
            os.fsync(stream.fileno())

    what = f"a save of {len(png) / 2**20:.1f} MiB at {PICTURES:,}, encoding not counted"
    for which in (f"the first {SAVES}", f"{SAVES} more once those were removed"):
        times = _timed([save, plain] * SAVES)
        told = f"p50 {_percentile(times[::2], 50):.1f} ms, p99 {_percentile(times[::2], 99):.1f} ms"
        alone = f"the same bytes to a new file, and fsync, p50 {_percentile(times[1::2], 50):.1f} ms"
        yield f"{what}, {which}", told, f"{alone}; target at most 10 ms"
        store.delete_many(saved)
        for path in folder.glob("plain-*.png"):
            path.unlink()
    store.close()


def _rebuilding(root: Path) -> Iterator[Row]:
    (root / "index.sqlite3").unlink()
    store = GalleryStore(root)
    began = time.perf_counter()
    store.start()
    seconds, files = time.perf_counter() - began, store.count()
    store.close()
    yield f"a start without an index: {files:,} files read again", f"{seconds:.1f} s", ""


def _line(what: str, ours: list[float], peer: list[float] | None, target: float | None) -> Row:
    told = f"p50 {_percentile(ours, 50):.2f} ms, p99 {_percentile(ours, 99):.2f} ms"
    against = [f"InvokeAI's query alone {_percentile(peer, 50):.1f} ms"] if peer else []
    against += [f"target p99 at most {target:g} ms"] if target else []
    return f"{what} at {PICTURES:,}", told, "; ".join(against)


def _percentile(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


def _pages(client: httpx.Client, queries: Sequence[str]) -> list[float]:
    """Milliseconds of each page over one open connection.

    By the standard library's client: httpx takes half a millisecond for itself.
    """
    with closing(HTTPConnection(client.base_url.host, client.base_url.port)) as connection:
        connection.connect()
        return [_page(connection, query) for query in queries]


def _page(connection: HTTPConnection, query: str) -> float:
    """Milliseconds of one page over HTTP, which has what it should have."""
    began = time.perf_counter()
    connection.request("GET", f"/gallery?image_data=false&limit={PAGE}{query}")
    answer = connection.getresponse()
    body = answer.read()
    elapsed = (time.perf_counter() - began) * 1000
    if answer.status != HTTPStatus.OK or json.loads(body)["images"] == []:
        raise RuntimeError(f"nothing found for {query}")
    return elapsed


def _process_of(client: httpx.Client) -> psutil.Process:
    port = urlparse(str(client.base_url)).port
    found = (each.pid for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.laddr[1] == port)
    return psutil.Process(next(pid for pid in found if pid))


def _peer_page(peer: InvokeAI, offset: int, calls: int) -> list[float]:
    return _timed([lambda: peer.page(PAGE, offset)] * calls)


def _peer_search(peer: InvokeAI, words: Sequence[str]) -> list[float]:
    return _timed([partial(peer.page, PAGE, 0, word) for word in words])


def _timed(works: list[Callable[[], object]]) -> list[float]:
    times = []
    for work in works:
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return times


def _fill(root: Path, peer_file: Path) -> float:
    """Write the same records into both; answers the seconds that ours took."""
    root.mkdir(parents=True)
    index, seconds = open_index(root / "index.sqlite3"), 0.0
    with closing(InvokeAI(peer_file)) as peer:
        peer.create()
        for start in range(0, PICTURES, _BATCH):
            records = [_record(number) for number in range(start, start + _BATCH)]
            began = time.perf_counter()
            index.put([to_row(each, f"{each.created_at:%Y/%m/%d}/{each.filename}", 2_000_000) for each in records])
            seconds += time.perf_counter() - began
            if start >= PICTURES - FILES:
                _write_files(root, records)
            peer.add(records)
    index.mark_complete()
    index.close()
    return seconds


def _write_files(root: Path, records: list[ImageRecord]) -> None:
    """As saves leave them, without the fsyncs."""
    for record in records:
        path = root / f"{record.created_at:%Y/%m/%d}" / record.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(with_record(_SMALL, record))


def _microsecond(number: int) -> int:
    return 1_600_000_000_000_000 + number * 100_000_000


def _moment(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=_microsecond(number))


def _record(number: int) -> ImageRecord:
    image_id = new_image_id()
    moment = _moment(number)
    noun, rare = _NOUNS[number // len(_RARE) % len(_NOUNS)], _RARE[number * 7 % len(_RARE)]
    return ImageRecord(
        id=image_id,
        filename=image_filename(image_id, moment),
        prompt=f"A beautiful {noun} in {rare} light, 35 mm, highly detailed, number {number}",
        negative_prompt="blurry, low quality",
        model=f"model-{number % 3}",
        seed=number,
        width=1024,
        height=1024,
        generation_time=12.34,
        vram_used=4.2,
        created_at=moment,
        parameters={"num_inference_steps": 20, "guidance_scale": 7.5, "width": 1024, "height": 1024},
        facts={"sampler": "euler_a", "dtype": "float16", "generator": "local_sd"},
        marks=Marks(("kept",) if number % 100 == 0 else (), number % 1000 == 0, number % 6 if number % 10 == 0 else 0),
    )


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-million-") as place:
        for cells in rows(Path(place)):
            print(" | ".join(cells), flush=True)

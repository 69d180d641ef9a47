"""Foreign pictures are decoded elsewhere: few at once, bounded in memory and time, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress

import numpy as np
import psutil
import pytest
from PIL import Image
from visioncraft import InvalidRequest, RateLimitExceeded, ServiceUnavailable, StorageError, decode_png, encode_png
from visioncraft.decoding import Decoders
from visioncraft.images.inputs import Sent
from visioncraft.images.metadata import SIGNATURE, chunk
from visioncraft.settings import PicturesSettings

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
PICTURE = Sent("mask", encode_png(PIXELS))


def scans(times: int, side: int = 4000) -> Sent:
    """A small progressive JPEG that says the same again and again: each time costs a walk over all its pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (128, 128, 128)).save(buffer, "JPEG", progressive=True)
    jpeg = buffer.getvalue()
    last = jpeg.rindex(b"\xff\xda")
    return Sent("init_image", jpeg[:-2] + jpeg[last:-2] * times + jpeg[-2:])


def large(width: int, height: int) -> Sent:
    """A whole PNG of one colour."""
    packed = zlib.compressobj(1)
    data = b"".join(packed.compress(bytes(1 + 3 * width)) for _ in range(height)) + packed.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return Sent("mask", SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(PicturesSettings(decoders=1, time_limit_s=300, memory_limit_mb=128))
    yield made
    made.close()


def processes() -> list[psutil.Process]:
    found = []
    for each in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it has ended since
            if "visioncraft.decoding" in each.cmdline():
                found.append(each)
    return found


def at_work(process: psutil.Process) -> None:
    """Return once it computes; pytest's timeout ends what never comes."""
    while process.cpu_percent(0.05) < 10:
        pass


def test_a_picture_is_the_same_as_if_it_had_been_decoded_here(decoders: Decoders) -> None:
    async def scene() -> None:
        assert await decoders.look(PICTURE) == (40, 24)
        ready = await decoders.prepare(PICTURE, 40, 24, "picture")
        np.testing.assert_array_equal(decode_png(ready.png), PIXELS)

    asyncio.run(scene())
    with Image.open(io.BytesIO(decoders.thumbnail(PICTURE.data, 20) or b"")) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (20, 12))
    png, *size = decoders.as_png(PICTURE.data)
    assert size == [40, 24] and np.array_equal(decode_png(png), PIXELS)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (large(8000, 8000), "takes more memory"),
        (Sent("mask", b"no picture"), "not a readable PNG"),
        (Sent("mask", PICTURE.data[:-30]), "not a readable PNG"),
    ],
    ids=["memory", "foreign", "cut short"],
)
def test_what_takes_too_much_is_refused_by_its_field_and_the_next_one_is_decoded(
    decoders: Decoders, sent: Sent, said: str
) -> None:
    assert said in issue_and_the_next_one_decoded(decoders, sent)


def test_what_takes_too_long_is_refused_by_its_field_and_the_next_one_is_decoded() -> None:
    with closing(Decoders(PicturesSettings(decoders=1, time_limit_s=1))) as decoders:
        said = "takes more than 1 s to decode (pictures.time_limit_s)"
        assert said in issue_and_the_next_one_decoded(decoders, scans(3000))


def issue_and_the_next_one_decoded(decoders: Decoders, sent: Sent) -> str:
    """What is wrong with an image that is refused by its field; the one after it is decoded."""

    async def scene() -> str:
        with pytest.raises(InvalidRequest) as caught:
            await decoders.prepare(sent, 64, 64, "picture")
        assert caught.value.details["field"] == sent.field
        await decoders.prepare(PICTURE, 64, 64, "picture")
        return str(caught.value.details["issue"])

    return asyncio.run(scene())


def test_a_process_that_is_killed_costs_its_own_picture_alone(decoders: Decoders) -> None:
    async def scene() -> None:
        await decoders.look(PICTURE)
        (process,) = processes()
        slow = asyncio.create_task(decoders.prepare(scans(3000), 64, 64, "picture"))
        await asyncio.to_thread(at_work, process)
        process.send_signal(signal.SIGKILL)
        with pytest.raises(InvalidRequest, match="Invalid init_image"):
            await slow
        assert await decoders.look(PICTURE) == (40, 24)

    asyncio.run(scene())


def test_a_process_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONCRAFT_TOKEN", "a-secret")
    monkeypatch.setenv("SOME_CLOUD_KEY", "another")
    made = Decoders(PicturesSettings(decoders=1))
    made.thumbnail(PICTURE.data, 8)
    known = set(processes()[-1].environ())
    made.close()
    assert not {"VISIONCRAFT_TOKEN", "SOME_CLOUD_KEY"} & known


def test_no_more_processes_than_set_and_none_once_there_is_nothing_to_do() -> None:
    made = Decoders(PicturesSettings(decoders=2, idle_s=0.2))
    before = len(processes())

    async def scene() -> None:
        await asyncio.gather(*(made.look(PICTURE) for _ in range(20)))

    asyncio.run(scene())
    assert len(processes()) - before <= 2
    while len(processes()) > before:  # pytest's timeout ends what never comes
        threading.Event().wait(0.01)
    assert made.thumbnail(PICTURE.data, 8), "and starts again"
    made.close()
    assert len(processes()) == before


def test_who_waits_too_long_is_told_so_and_the_default_threads_stay_free() -> None:
    made = Decoders(PicturesSettings(decoders=1, wait_limit_s=0.2))

    async def scene() -> None:
        sent = scans(3000)
        slow = [asyncio.create_task(made.prepare(sent, 64, 64, "picture")) for _ in range(20)]
        told = list(asyncio.as_completed(slow))
        for task in told[:19]:
            with pytest.raises(RateLimitExceeded) as caught:
                await task
            assert caught.value.retry_after >= 1
            assert await asyncio.to_thread(os.getpid)
        made.close()
        with pytest.raises(ServiceUnavailable, match="is ending"):
            await told[19]
        with pytest.raises(ServiceUnavailable, match="is ending"):
            await made.look(PICTURE)

    asyncio.run(scene())


def test_a_thumbnail_of_what_is_no_png_is_an_error_of_the_store(decoders: Decoders) -> None:
    with pytest.raises(StorageError, match="Not a readable PNG"):
        decoders.thumbnail(b"no picture", 8)

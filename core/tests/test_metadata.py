"""What is written into a picture's file can be read out of it, by us and by others."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from visioncraft import ImageRecord, StorageError, encode_png
from visioncraft.images.metadata import MAX_TEXT, SIGNATURE, chunk
from visioncraft.images.png import read_record, read_record_file, with_record

RECORD = ImageRecord(
    id="img_01m83krb1qdy96shcvvve1prax",
    filename="generated_image_20261123_070833_e1prax.png",
    prompt="a red apple",
    negative_prompt="blurry, dark",
    model="stable-diffusion-1.5",
    seed=42,
    width=512,
    height=768,
    generation_time=1.25,
    vram_used=0.0,
    created_at=datetime(2026, 11, 23, 7, 8, 33, 719808, tzinfo=UTC),
    parameters={"num_inference_steps": 20, "guidance_scale": 7.5, "sampler": "dpm++_2m_karras"},
    facts={"dtype": "float16"},
)
HEADER_END = 33
PNG = encode_png(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(st.text(), json_values, max_size=4)
any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
records = st.builds(
    ImageRecord,
    id=any_text,
    filename=any_text,
    prompt=any_text,
    negative_prompt=any_text,
    model=any_text,
    seed=st.integers(),
    width=st.integers(),
    height=st.integers(),
    generation_time=st.floats(allow_nan=False),
    vram_used=st.floats(allow_nan=False),
    created_at=st.datetimes(timezones=st.just(UTC)),
    parameters=tables,
    facts=tables,
)


def a1111(png: bytes) -> str:
    """The text as AUTOMATIC1111 gets it: through Pillow."""
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        return str(picture.text["parameters"])  # type: ignore[attr-defined]


@settings(max_examples=150, deadline=None)
@given(record=records)
def test_a_record_comes_back_out_of_a_file_whatever_is_in_it(record: ImageRecord) -> None:
    written = with_record(PNG, record)
    assert read_record(written) == record
    a1111(written)


def test_a_long_prompt_and_a_read_only_mapping_come_back() -> None:
    record = replace(RECORD, prompt="🍎 苹果\n" * 16_000, facts=MappingProxyType({"seed": 2**200}))
    assert read_record(with_record(PNG, record)) == replace(record, facts={"seed": 2**200})


def test_a_record_leaves_the_bytes_of_the_picture_alone() -> None:
    written = with_record(PNG, RECORD)
    assert written.startswith(PNG[:HEADER_END])
    assert written.endswith(PNG[HEADER_END:])


def test_a_second_record_takes_the_place_of_the_first_and_foreign_texts_stay() -> None:
    foreign = PNG[:HEADER_END] + chunk(b"tEXt", b"Author\0somebody") + PNG[HEADER_END:]
    once, other = with_record(foreign, RECORD), replace(RECORD, prompt="a green pear")
    twice = with_record(once, other)
    assert read_record(twice) == other
    assert a1111(twice).startswith("a green pear\n")
    assert twice.count(b"a red apple") == 0
    assert b"Author\0somebody" in twice
    assert with_record(twice, RECORD) == once


def test_automatic1111_reads_the_parameters() -> None:
    assert a1111(with_record(PNG, RECORD)) == (
        "a red apple\n"
        "Negative prompt: blurry, dark\n"
        "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 42, Size: 512x768, Model: stable-diffusion-1.5"
    )


def test_parameters_leave_out_what_is_not_known_and_quote_what_would_break_the_line() -> None:
    record = replace(RECORD, negative_prompt="", parameters={}, facts={"sampler": "euler_a"}, model='my, "model": 2')
    assert a1111(with_record(PNG, record)) == (
        'a red apple\nSampler: Euler a, Seed: 42, Size: 512x768, Model: "my, \\"model\\": 2"'
    )


@pytest.mark.parametrize(("prompt", "kind"), [("café", b"tEXt"), ("苹果", b"iTXt")])
def test_parameters_are_latin_1_text_where_they_can_be(prompt: str, kind: bytes) -> None:
    written = with_record(PNG, replace(RECORD, prompt=prompt))
    assert written[HEADER_END + 4 :].startswith(kind + b"parameters\0")
    assert a1111(written).startswith(prompt + "\n")


def test_a_nul_in_a_prompt_does_not_end_the_text() -> None:
    assert a1111(with_record(PNG, replace(RECORD, prompt="a\0b"))).startswith("a b\n")


def test_a_picture_from_elsewhere_has_no_record() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    assert read_record(buffer.getvalue()) is None
    assert read_record(PNG) is None


def test_a_file_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(with_record(PNG, RECORD))
    assert read_record_file(file) == RECORD


def test_a_record_that_another_tool_compressed_is_read() -> None:
    text = json_chunk_text(with_record(PNG, RECORD))
    assert read_record(spliced(b"visioncraft\0\1\0\0\0" + zlib.compress(text))) == RECORD


def test_a_compressed_record_that_would_swell_beyond_bounds_is_refused() -> None:
    bomb = zlib.compress(b" " * (MAX_TEXT + 2**20), 9)
    with pytest.raises(StorageError, match="'visioncraft' chunk is damaged"):
        read_record(spliced(b"visioncraft\0\1\0\0\0" + bomb))


def json_chunk_text(written: bytes) -> bytes:
    start = written.index(b"iTXtvisioncraft")
    length = int.from_bytes(written[start - 4 : start], "big")
    return written[start + 4 : start + 4 + length].split(b"\0", 5)[-1]


def spliced(data: bytes) -> bytes:
    return PNG[:HEADER_END] + chunk(b"iTXt", data) + PNG[HEADER_END:]


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        (b"", "Not a PNG"),
        (b"GIF89a" + bytes(64), "Not a PNG"),
        (SIGNATURE + chunk(b"IEND", b""), "Not a PNG"),
        (with_record(PNG, RECORD)[:-1], "IEND chunk is cut short"),
        (with_record(PNG, RECORD)[:-500], "nothing whole follows its IDAT chunk"),
        (with_record(PNG, RECORD).replace(b"a red apple", b"a bad apple"), "iTXt chunk is damaged: its checksum"),
        (PNG[:HEADER_END] + b"\xff\xff\xff\xffiTXtvisioncraft" + PNG[HEADER_END:], "follows its iTXt chunk"),
        (spliced(b"visioncraft\0\0\0\0\0{not json"), "'visioncraft' chunk is damaged: Expecting"),
        (spliced(b"visioncraft\0\0\0\0\0[]"), "'visioncraft' chunk is damaged"),
        (spliced(b"visioncraft\0\0\0\0\0{}"), "'visioncraft' chunk is damaged: no field 'id'"),
        (spliced(b"visioncraft\0\1\0\0\0no deflate"), "'visioncraft' chunk is damaged"),
        (spliced(b"visioncraft\0\0\0\0\0" + b"[" * 200_000), "'visioncraft' chunk is damaged"),
    ],
)
def test_a_damaged_file_is_refused_by_what_is_damaged(damaged: bytes, named: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=named):
        read_record(damaged)
    file = tmp_path / "damaged.png"
    file.write_bytes(damaged)
    with pytest.raises(StorageError, match=rf"damaged\.png: .*{named}"):
        read_record_file(file)


def test_a_record_with_a_field_of_the_wrong_type_is_refused_by_the_field() -> None:
    text = json_chunk_text(with_record(PNG, RECORD)).replace(b'"seed": 42', b'"seed": "42"')
    with pytest.raises(StorageError, match="wrong type of seed"):
        read_record(spliced(b"visioncraft\0\0\0\0\0" + text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"absent\.png: cannot be read: No such file"):
        read_record_file(tmp_path / "absent.png")


@pytest.mark.parametrize("not_png", [b"", PNG[:20], b"\xff\xd8\xff\xe0" + bytes(100)], ids=["empty", "cut", "jpeg"])
def test_only_a_png_takes_a_record(not_png: bytes) -> None:
    with pytest.raises(StorageError, match="PNG"):
        with_record(not_png, RECORD)


@pytest.mark.parametrize(
    ("record", "named"),
    [
        (replace(RECORD, facts={"what": object()}), "object is not JSON serializable"),
        (replace(RECORD, prompt="x" * (MAX_TEXT + 1)), "shorten the prompt"),
    ],
)
def test_a_record_that_no_file_can_hold_is_refused(record: ImageRecord, named: str) -> None:
    with pytest.raises(StorageError, match=named):
        with_record(PNG, record)
